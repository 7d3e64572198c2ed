//! Names for people that nobody is called: a colour or a stone, and a bird, a tree or a place outdoors.

use super::dice::Dice;

const FIRST: [&str; 40] = [
    "Amber", "Ash", "Azure", "Basalt", "Bronze", "Cinder", "Cobalt", "Copper", "Coral", "Crimson", "Dusk", "Ebony",
    "Emerald", "Flint", "Frost", "Garnet", "Granite", "Hazel", "Indigo", "Ivory", "Jade", "Jasper", "Linen", "Marble",
    "Maroon", "Ochre", "Olive", "Onyx", "Opal", "Pearl", "Quartz", "Russet", "Sable", "Saffron", "Silver", "Slate",
    "Teal", "Topaz", "Umber", "Violet",
];
const LAST: [&str; 48] = [
    "Alder", "Aspen", "Beech", "Birch", "Bramble", "Brook", "Cedar", "Cliff", "Clover", "Cove", "Crane", "Dune",
    "Elder", "Falcon", "Fern", "Field", "Finch", "Fjord", "Glade", "Grove", "Harbour", "Heath", "Heron", "Hollow",
    "Juniper", "Lake", "Larch", "Lark", "Linden", "Maple", "Marsh", "Meadow", "Moor", "Osprey", "Pine", "Plover",
    "Raven", "Reed", "Ridge", "River", "Rowan", "Sparrow", "Spruce", "Swift", "Thistle", "Willow", "Wren", "Yew",
];

/// Signs up here: a domain that is told to the engine as one for throw-away mailboxes.
pub const THROW_AWAY: &str = "throwaway.example";

pub fn name(dice: &mut Dice) -> String {
    let (first, last) = (dice.pick(&FIRST).unwrap_or("Grey"), dice.pick(&LAST).unwrap_or("Stone"));
    format!("{first} {last}")
}

/// The part of an address before the @, no two the same.
pub fn mailbox(name: &str, number: usize) -> String {
    format!("{}{number}", name.to_lowercase().replace(' ', "."))
}

/// What someone may call themselves on a leaderboard.
pub fn nickname(name: &str, dice: &mut Dice) -> String {
    let (first, last) = name.split_once(' ').unwrap_or((name, ""));
    match dice.between(0, 2) {
        0 => name.to_owned(),
        1 => format!("{first} {}.", last.chars().take(1).collect::<String>()),
        _ => format!("{}_{}", first.to_lowercase(), last.to_lowercase()),
    }
}
