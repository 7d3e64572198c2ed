//! People with a history, each in a browser of their own.

use crate::harness::{App, Client, PASSWORD, Reply};
use crate::visitor::{FORM, Visitor, assert_page, encode, value_of};
use refloop::domain::id::AccountId;
use refloop::domain::program::Preset;
use refloop::domain::setting::Setting;
use serde_json::{Value, json};

/// Where the project with the preset `commission` answers. Browsers find it on this machine.
pub const MARKET: &str = "market.localhost";

/// Someone who is signed in, with a key of the same account.
pub struct Member {
    pub visitor: Visitor,
    pub id: String,
    host: Option<&'static str>,
    api: Client,
}

impl Member {
    /// Signs up by API and in on the page.
    pub fn new(app: &App, host: Option<&'static str>, name: &str, email: &str, code: Option<&str>) -> Self {
        let made = sign_up(app, host, name, email, code);
        let key = made["api_key"].as_str().unwrap();
        let id = made["developer"]["id"].as_str().unwrap().to_owned();
        let member = Self { visitor: Visitor::new(app), id, host, api: app.anonymous().with_key(key) };
        member.sign_in(email);
        member
    }

    pub fn sign_in(&self, email: &str) {
        let csrf = value_of(&self.page("/login"), "csrf");
        let reply = self.post("/login", &[("csrf", &csrf), ("email", email), ("password", PASSWORD)]);
        assert_eq!(reply.status, 303, "{}", reply.body);
    }

    fn headers(&self, more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
        self.host.map(|host| ("Host", host)).into_iter().chain(more.iter().copied()).collect()
    }

    pub fn get(&self, path: &str) -> Reply {
        self.visitor.send("GET", path, &self.headers(&[("Accept", "text/html")]), "")
    }

    /// A page that must be there.
    pub fn page(&self, path: &str) -> Reply {
        let page = self.get(path);
        assert_page(&page, 200);
        page
    }

    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.visitor.send("POST", path, &self.headers(&[FORM]), &encode(fields))
    }

    /// The token that this visitor's forms carry.
    pub fn token(&self) -> String {
        value_of(&self.page("/dashboard"), "csrf")
    }

    /// Sends a form of the dashboard.
    pub fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.token();
        let fields = [&[("csrf", token.as_str())], fields].concat();
        self.post(path, &fields)
    }

    /// What the API says, with the account's own key.
    pub fn api(&self, path: &str) -> Value {
        let reply = self.api.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.json()
    }

    pub fn client(&self) -> &Client {
        &self.api
    }

    pub fn code(&self) -> String {
        let reply = self.api.post("/v1/developers/referral-code", json!({}));
        reply.json()["referral_code"].as_str().unwrap().to_owned()
    }
}

/// What a person reads: HTML without its tags, white space as one space.
pub fn text(html: &str) -> String {
    let parts = html.split('<').enumerate().map(|(place, part)| match place {
        0 => part,
        _ => part.split_once('>').map_or("", |(_, after)| after),
    });
    let words = parts.collect::<Vec<_>>().join(" ");
    let words = words.replace("&#39;", "'").replace("&#38;", "&").replace("&#34;", "\"");
    words.replace("&#60;", "<").replace("&#62;", ">").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is between two pieces of the HTML, the first time that they come.
pub fn between<'h>(html: &'h str, before: &str, after: &str) -> &'h str {
    let (_, rest) = html.split_once(before).unwrap_or_else(|| panic!("no {before} in {html}"));
    rest.split_once(after).unwrap_or_else(|| panic!("no {after} after {before}")).0
}

/// An amount as the page must write it.
pub fn amount(amount: i64, unit: &str) -> String {
    let grouped = |whole: u64| {
        let digits = whole.to_string().into_bytes();
        let groups = digits.rchunks(3).rev().map(|group| String::from_utf8(group.to_vec()).unwrap());
        groups.collect::<Vec<_>>().join(",")
    };
    let (sign, size) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
    match unit {
        "credits" => format!("{sign}{} credit{}", grouped(size), if amount == 1 { "" } else { "s" }),
        _ => format!("{sign}{}.{:02} {unit}", grouped(size / 100), size % 100),
    }
}

pub fn sign_up(app: &App, host: Option<&'static str>, name: &str, email: &str, code: Option<&str>) -> Value {
    let body = json!({ "email": email, "password": PASSWORD, "name": name, "referral_code": code });
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(host.map(|host| ("Host", host)));
    let reply = app.anonymous().send("POST", "/v1/developers/signup", &headers, body.to_string().into_bytes());
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()
}

/// A referee of that code at a domain of their own; returns the account's id.
pub fn refer(app: &App, host: Option<&'static str>, name: &str, code: &str) -> String {
    let email = format!("{0}@{0}.example", name.to_lowercase());
    sign_up(app, host, name, &email, Some(code))["developer"]["id"].as_str().unwrap().to_owned()
}

/// A project with the preset `commission` at its host, and a gateway of it with every scope.
pub fn market(app: &App) -> Client {
    app.project("market", Preset::Commission, "test");
    app.engine
        .set_project("market", vec![(Setting::Host, MARKET.into()), (Setting::Name, "Example Market".into())])
        .unwrap();
    app.gateway_of("market")
}

pub fn use_api(gateway: &Client, id: &str, developer: &str, calls: i64) {
    let reply = gateway.post("/v1/usage", json!({ "id": id, "developer_id": developer, "calls": calls }));
    assert_eq!(reply.status, 200, "{}", reply.body);
}

pub fn buy(gateway: &Client, id: &str, developer: &str, amount: i64) {
    let body = json!({ "id": id, "developer_id": developer, "amount": amount, "currency": "usd" });
    let reply = gateway.post("/v1/purchases", body);
    assert_eq!(reply.status, 201, "{}", reply.body);
}

pub fn refund(gateway: &Client, id: &str, purchase: &str, amount: i64) {
    let reply = gateway.post("/v1/refunds", json!({ "id": id, "purchase_id": purchase, "amount": amount }));
    assert_eq!(reply.status, 201, "{}", reply.body);
}

/// Somebody else follows the link, in a browser of their own.
pub fn click(app: &App, host: Option<&'static str>, code: &str, who: &str) {
    let agent = format!("Mozilla/5.0 (X11; Linux x86_64; rv:{who}) Gecko/20100101 Firefox/140.0");
    let mut headers = vec![("User-Agent", agent.as_str()), ("Accept", "text/html")];
    headers.extend(host.map(|host| ("Host", host)));
    let reply = app.anonymous().send("GET", &format!("/r/{code}"), &headers, Vec::new());
    assert_eq!(reply.status, 303, "{}", reply.body);
}

/// Puts the referral of an account under review, as an abuse signal would.
pub fn review(app: &App, referee: &str) {
    let id = referee.parse::<AccountId>().unwrap().0;
    let sql = format!("UPDATE referral SET status = 'review', reason = 'same_address' WHERE referee_id = {id}");
    assert_eq!(app.sqlite3(&sql), "");
}

/// Two Alices over eleven weeks, on the same days.
pub struct Story {
    /// Of the default project: signups with ups and downs, milestones, spends, a referral that is rejected and one
    /// under review.
    pub credits: Member,
    /// Of the market: came in with a code herself, earns commissions, some of them refunded, one after it was spent.
    pub commission: Member,
    /// The gateway of the market.
    pub market: Client,
}

impl Story {
    pub fn tell(app: &App) -> Self {
        let (gateway, market) = (app.gateway(), market(app));
        let zoe = Member::new(app, Some(MARKET), "Zoe", "zoe@zoe.example", None);
        let alice = "alice@alice.example";
        let story = Self {
            credits: Member::new(app, None, "Alice", alice, None),
            commission: Member::new(app, Some(MARKET), "Alice", alice, Some(&zoe.code())),
            market,
        };
        for day in 0..77 {
            story.credits_on(app, &gateway, day);
            story.commission_on(app, day);
            app.advance_days(1);
        }
        refund(&story.market, "late", "p-10", 1_000_000);
        for (member, host, gateway) in
            [(&story.credits, None, &gateway), (&story.commission, Some(MARKET), &story.market)]
        {
            let code = member.code();
            sign_up(app, host, "Colleague", "colleague@alice.example", Some(&code));
            let held = refer(app, host, "Heldback", &code);
            use_api(gateway, "held", &held, 1);
            if host.is_some() {
                buy(gateway, "p-held", &held, 8_000);
            }
            review(app, &held);
            // The sessions of the first day have ended.
            member.sign_in(alice);
        }
        story
    }

    fn credits_on(&self, app: &App, gateway: &Client, day: usize) {
        let code = self.credits.code();
        for n in 0..(3 + day * 3 % 8 + day / 9) {
            click(app, None, &code, &format!("{day}.{n}"));
        }
        for n in 0..(day % 7 * (day % 3) / 4) {
            let referee = refer(app, None, &format!("dev{day}x{n}"), &code);
            if !(day + n).is_multiple_of(3) {
                use_api(gateway, &format!("first-{day}-{n}"), &referee, 1);
            }
            if (day + n) % 4 == 1 {
                use_api(gateway, &format!("more-{day}-{n}"), &referee, 150);
            }
        }
        if day % 10 == 9 {
            use_api(gateway, &format!("own-{day}"), &self.credits.id, 900);
        }
    }

    fn commission_on(&self, app: &App, day: usize) {
        let market = &self.market;
        for n in 0..(day % 4) {
            click(app, Some(MARKET), &self.commission.code(), &format!("{day}.{n}"));
        }
        if day % 3 == 1 {
            let buyer = refer(app, Some(MARKET), &format!("buyer{day}"), &self.commission.code());
            let amount = 1_999 + 1_250 * (i64::try_from(day).unwrap() % 11);
            if !day.is_multiple_of(4) {
                buy(market, &format!("p-{day}"), &buyer, amount);
            }
            if day % 5 == 2 {
                buy(market, &format!("small-{day}"), &buyer, 99);
            }
            if day % 7 == 3 {
                refund(market, &format!("r-{day}"), &format!("p-{day}"), amount / 2);
            }
        }
        if day == 50 {
            use_api(market, "spent", &self.commission.id, 1_500);
        }
    }
}

/// What a page must be able to hold: the longest name and key names, a referral with the longest address, and amounts
/// that no one will see.
pub fn at_the_limits(app: &App, market: &Client) -> Member {
    let name = "Maximiliane-Wilhelmine ".repeat(5).chars().take(100).collect::<String>();
    let member = Member::new(app, Some(MARKET), name.trim(), "max@max.example", None);
    let made = member.client().post("/v1/developers/referral-code", json!({ "code": "MAXIMILIANEWILHELMIN" }));
    assert_eq!(made.status, 201, "{}", made.body);
    let domain = format!("{}.{}.example", "a-very-long-label-of-a-domain".repeat(2), "another-long-label".repeat(3));
    let email = format!("{}@{domain}", "somebody-with-a-long-mailbox".repeat(2));
    let made = sign_up(app, Some(MARKET), "Long", &email, Some("MAXIMILIANEWILHELMIN"));
    let long = made["developer"]["id"].as_str().unwrap();
    for n in 0..3 {
        buy(market, &format!("large-{n}"), long, 1_000_000_000_000);
    }
    refund(market, "large", "large-0", 999_999_999_999);
    for n in 0..3 {
        let key = json!({ "name": format!("{n}-{}", "integration-server".repeat(5)) });
        assert_eq!(member.client().post("/v1/developers/api-keys", key).status, 201);
    }
    for n in 0..60 {
        click(app, Some(MARKET), "MAXIMILIANEWILHELMIN", &format!("large.{n}"));
    }
    member
}
