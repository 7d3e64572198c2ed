//! Every number on the pages is the API's and the ledger's.

use super::story::{MARKET, Member, Story, amount, at_the_limits, between, text};
use crate::harness::App;
use serde_json::Value;

fn figure(of: &Value, name: &str) -> i64 {
    of[name].as_i64().unwrap_or_else(|| panic!("{name} in {of}"))
}

/// The six-metric card, by label.
fn metric(html: &str, label: &str) -> String {
    let card = between(html, "class=\"card metrics\"", "</section>");
    text(between(card, &format!("<dt>{label}</dt><dd class=\"figure\">"), "</dd>"))
}

fn by_id(html: &str, id: &str) -> String {
    text(between(html, &format!(" id=\"{id}\">"), "</dd>"))
}

fn count(of: &Value, name: &str) -> String {
    amount(figure(of, name), "credits").split(' ').next().unwrap().to_owned()
}

fn check_overview(member: &Member, unit: &str) {
    let (html, stats) = (member.page("/dashboard").body, member.api("/v1/developers/referral-stats"));
    for (label, seen) in [
        ("Total Referrals", count(&stats, "total_referrals")),
        ("Conversions", count(&stats, "conversions")),
        ("Total Earnings", amount(figure(&stats, "credits_earned"), unit)),
        ("Conversion Rate", format!("{:.2}%", stats["conversion_rate"].as_f64().unwrap())),
        ("Total Clicks", count(&stats, "total_clicks")),
        ("Pending Referrals", count(&stats, "pending_referrals")),
    ] {
        assert_eq!(metric(&html, label), seen, "{label}");
    }
    assert_eq!(html.matches("<dd class=\"figure\">").count(), 6);
    assert_eq!(by_id(&html, "available"), amount(figure(&stats, "credits_available"), unit));
    assert_eq!(by_id(&html, "pending"), amount(figure(&stats, "credits_pending"), unit));
    match figure(&stats, "owed") {
        0 => assert!(!html.contains(" id=\"owed\"")),
        owed => assert_eq!(by_id(&html, "owed"), amount(owed, unit)),
    }
    let rejected = figure(&stats["milestones"], "rejected");
    assert!(text(&html).contains(&format!("Signed up with your code; {rejected} not counted")));
}

/// What vests on which day is what the ledger's pending lines say.
fn check_schedule(member: &Member, unit: &str) {
    let html = member.page("/dashboard").body;
    let dues = between(&html, "class=\"dues\"", "</ul>");
    let rows: Vec<String> = dues.split("<li>").skip(1).map(text).collect();
    let cents = |row: &str| -> i64 {
        let digits: String = row.rsplit_once(unit).unwrap().0.trim_end().rsplit(' ').next().unwrap().into();
        digits.replace([',', '.'], "").parse().unwrap()
    };
    let stats = member.api("/v1/developers/referral-stats");
    assert_eq!(rows.iter().map(|row| cents(row)).sum::<i64>(), figure(&stats, "credits_pending"), "{rows:?}");
    assert!(rows.iter().any(|row| row.starts_with("On ")) && rows.iter().any(|row| row.contains("review is over")));
}

/// The table behind the charts, by column, and each chart's sum.
fn check_series(member: &Member, days: i64, unit: &str) {
    let html = member.page(&format!("/dashboard?days={days}")).body;
    let series = member.api(&format!("/v1/developers/referral-stats?days={days}"))["series"].clone();
    let series = series.as_array().unwrap();
    let sum = |name: &str| series.iter().map(|day| figure(day, name)).sum::<i64>();
    let charts: Vec<String> =
        html.split("<figcaption>").skip(1).map(|it| text(it.split("</figcaption>").next().unwrap())).collect();
    let plain = |name: &str| amount(sum(name), "credits").split(' ').next().unwrap().to_owned();
    let last = if unit == "credits" { "Credits" } else { "Earnings" };
    assert_eq!(
        charts,
        [
            format!("Clicks {}", plain("clicks")),
            format!("Signups {}", plain("signups")),
            format!("Conversions {}", plain("conversions")),
            format!("{last} {}", amount(sum("credits"), unit)),
        ]
    );
    let body = between(&html, "<tbody>", "</tbody>");
    let rows: Vec<Vec<String>> = body
        .split("<tr>")
        .skip(1)
        .map(|row| row.split("<td class=\"num\">").map(|cell| text(cell.split("</td>").next().unwrap())).collect())
        .collect();
    let table_sum = |column: usize| -> i64 {
        rows.iter()
            .map(|row| row[column].replace([',', '.'], "").split(' ').next().unwrap().parse::<i64>().unwrap())
            .sum()
    };
    let names = ["clicks", "signups", "conversions", "credits"];
    assert_eq!([1, 2, 3, 4].map(table_sum), names.map(sum), "{days}");
    if days <= 92 {
        assert_eq!(rows.len(), series.len());
        for (row, day) in rows.iter().rev().zip(series) {
            assert!(body.contains(&format!("datetime=\"{}\"", day["date"].as_str().unwrap())));
            assert_eq!(row[4], amount(figure(day, "credits"), unit));
        }
    } else {
        assert_eq!(i64::try_from(rows.len()).unwrap(), (days + 6) / 7);
    }
}

/// Each referred user's line.
fn check_referrals(member: &Member, unit: &str) {
    let mut seen = Vec::new();
    let mut path = "/dashboard/referrals".to_owned();
    loop {
        let html = member.page(&path).body;
        let body = between(&html, "<tbody>", "</tbody>");
        for row in body.split("<tr>").skip(1).filter(|row| row.contains("class=\"who\"")) {
            let cell =
                |class: &str| text(between(row, &format!("class=\"{class}\""), "</t").split_once('>').unwrap().1);
            seen.push((cell("a"), cell("b num"), cell("e num").replace(" pending", "")));
        }
        let Some((before, _)) = html.split_once("\" rel=\"next\"") else { break };
        before.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&").clone_into(&mut path);
    }
    let items = member.api("/v1/developers/referrals?limit=200");
    let items = items["data"].as_array().unwrap();
    assert_eq!(seen.len(), items.len());
    let mut pending = 0;
    for ((email, earned, held), item) in seen.iter().zip(items) {
        assert_eq!(email, item["email"].as_str().unwrap());
        assert_eq!(*earned, amount(figure(item, "credits_total"), unit), "{email}");
        let credits = item["credits"].as_array().unwrap();
        let has_pending = credits.iter().any(|credit| credit["status"] == "PENDING");
        assert_eq!(held != "–", has_pending, "{email}: {item}");
        if has_pending {
            pending += held.split(' ').next().unwrap().replace([',', '.'], "").parse::<i64>().unwrap();
        }
    }
    assert!(pending > 0);
    assert_eq!(pending, figure(&member.api("/v1/developers/referral-stats"), "credits_pending"));
}

#[test]
fn every_number_is_the_api_s() {
    let app = App::start();
    let story = Story::tell(&app);
    for (member, unit) in [(&story.credits, "credits"), (&story.commission, "USD")] {
        for days in 0..3 {
            check_overview(member, unit);
            check_schedule(member, unit);
            check_referrals(member, unit);
            for length in [7, 30, 90, 365] {
                check_series(member, length, unit);
            }
            app.advance_days(days);
        }
    }
    // The bonus that she came in with has expired, and a commission was refunded after it was spent.
    let stats = story.commission.api("/v1/developers/referral-stats");
    assert!(figure(&stats, "credits_expired") == 250 && figure(&stats, "credits_reversed") > 0, "{stats}");
    let text = text(&story.commission.page("/dashboard").body);
    assert!(text.contains("of it taken back since"), "{text}");
    assert!(text.contains(&format!("http://{MARKET}:")), "the link leads to the project's own host");
}

#[test]
fn pages_are_small() {
    let app = App::start();
    let story = Story::tell(&app);
    let limits = at_the_limits(&app, &story.market);
    for member in [&story.credits, &story.commission, &limits] {
        for path in [
            "/dashboard?days=365",
            "/dashboard",
            "/dashboard/referrals",
            "/dashboard/referrals?status=not_signed_up",
            "/dashboard/ledger",
            "/dashboard/keys",
        ] {
            let html = member.page(path).body;
            let chart = html
                .split_once("<!-- chart -->")
                .map_or(0, |(_, rest)| rest.split_once("<!-- /chart -->").unwrap().0.len());
            let size = html.len() - chart;
            assert!(size < 30_000, "{path} has {size} bytes beside the chart");
            assert!(chart < 60_000, "{path} has a chart of {chart} bytes");
            for elsewhere in ["src=\"http", "href=\"//", "src=\"//", "@import"] {
                assert!(!html.contains(elsewhere), "{path}: {elsewhere}");
            }
        }
    }
}
