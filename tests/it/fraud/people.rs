//! Dice, names, and where people come from.

/// splitmix64: the same seed makes the same population.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` up to, but without, `high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % u64::try_from(high - low).unwrap()).unwrap()
    }

    pub fn percent(&mut self, percent: i64) -> bool {
        self.between(0, 100) < percent
    }

    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.between(0, i64::try_from(all.len()).unwrap())).unwrap()]
    }
}

const FIRST: [&str; 40] = [
    "ada", "alan", "amir", "anna", "bao", "carla", "chen", "clara", "dmitri", "elena", "emeka", "eva", "fatima",
    "felix", "grace", "hana", "hugo", "ines", "ivan", "jana", "joao", "jun", "kofi", "lara", "leo", "lin", "lucia",
    "marco", "maya", "mei", "nadia", "noor", "olga", "omar", "pablo", "priya", "ravi", "sara", "tomas", "yuki",
];
const LAST: [&str; 50] = [
    "abe", "ahmed", "alves", "bauer", "becker", "bianchi", "cao", "cohen", "costa", "diaz", "dubois", "eriksen",
    "fischer", "garcia", "gupta", "haas", "hansen", "hoang", "ito", "ivanov", "jansen", "kaur", "keller", "khan",
    "kim", "kowalski", "lang", "lee", "lopez", "martin", "mensah", "moreau", "nagy", "nguyen", "novak", "okafor",
    "olsen", "park", "patel", "petrov", "ricci", "rossi", "sato", "schmidt", "silva", "singh", "tanaka", "torres",
    "weber", "wong",
];
const PUBLIC: [&str; 4] = ["gmail.com", "outlook.com", "yahoo.com", "icloud.com"];

/// A private mailbox as people choose them.
pub fn private_mailbox(dice: &mut Dice) -> String {
    let (first, last) = (*dice.one_of(&FIRST), *dice.one_of(&LAST));
    let domain = *dice.one_of(&PUBLIC);
    let local = match dice.between(0, 6) {
        0 => format!("{first}.{last}"),
        1 => format!("{first}{last}{}", dice.between(70, 100)),
        2 => format!("{}{last}{}", &first[..1], dice.between(1, 1_000)),
        3 => format!("{first}_{last}"),
        4 => format!("{last}.{first}.{}", dice.between(1_970, 2_008)),
        _ => format!("{first}.{last}.dev"),
    };
    format!("{local}@{domain}")
}

pub fn first_name(dice: &mut Dice) -> String {
    (*dice.one_of(&FIRST)).to_owned()
}

/// An address that is nobody else's.
pub fn own_address(number: usize) -> String {
    let [_, b, c, d] = u32::try_from(number).unwrap().to_be_bytes();
    format!("100.{}.{c}.{d}", 64 + b)
}
