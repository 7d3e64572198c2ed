//! `/leaderboard`: who has brought in most, of those who chose a name for it.

use crate::domain::error::{Kind, Result};
use crate::domain::money::grouped;
use crate::domain::partner::currency;
use crate::engine::{Leader, Period, Standing};
use crate::web::Context;
use crate::web::auth::visit;
use crate::web::page::{FormGuard, Frame, Menu, Place, error_page, error_page_of, page};
use crate::web::query::Query;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

#[derive(Template)]
#[template(path = "leaderboard.html")]
struct LeaderboardPage {
    frame: Frame,
    periods: Vec<PeriodLink>,
    rows: Vec<Row>,
    /// `None` for who is not signed in.
    standing: Option<Standing>,
}

struct PeriodLink {
    title: &'static str,
    url: String,
    here: bool,
}

struct Row {
    rank: String,
    name: String,
    referrals: String,
    own: bool,
}

const PERIODS: [(Period, &str, &str); 3] =
    [(Period::All, "all", "All time"), (Period::Month, "month", "Last 30 days"), (Period::Week, "week", "Last 7 days")];

/// The lines of the board; whoever shares a rank has an equals sign before it.
fn rows(leaders: &[Leader], own: impl Fn(&Leader) -> bool) -> Vec<Row> {
    let has_rank = |place: usize, rank: i64| leaders.get(place).is_some_and(|leader| leader.rank == rank);
    let row = |(place, leader): (usize, &Leader)| {
        let rank = leader.rank;
        let tied = has_rank(place + 1, rank) || place.checked_sub(1).is_some_and(|before| has_rank(before, rank));
        Row {
            rank: format!("{}{rank}", if tied { "=" } else { "" }),
            name: leader.name.clone(),
            referrals: grouped(leader.referrals),
            own: own(leader),
        }
    };
    leaders.iter().enumerate().map(row).collect()
}

pub async fn leaderboard(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show_leaderboard(&request, &context).await.unwrap_or_else(error_page)
}

async fn show_leaderboard(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let visit = visit(context, request).await?;
    let (project, name) = (visit.project.id, visit.project.name.as_str());
    let query = Query::parse(request.query_string())?;
    let period = Period::parse(query.get("period").unwrap_or("all"))?;
    let board = match context.engine.leaderboard(project, period).await {
        Err(error) if error.kind == Kind::NotFound => {
            return Ok(error_page_of(Frame::new(name), ("Sign up", "/signup".into()), error));
        }
        board => board?,
    };
    let guard = FormGuard::of(context, request)?;
    let (frame, standing) = match &visit.session {
        None => (Frame::new(name), None),
        Some(session) => {
            let has_partner_track = currency(&*context.engine.program_of(project).await?).is_ok();
            let menu = Menu { here: Place::Leaderboard, csrf: guard.token(context), has_partner_track };
            let standing = context.engine.standing(project, session.account, &board).await?;
            (Frame::with_menu(name, menu), Some(standing))
        }
    };
    let own = |leader: &Leader| visit.session.as_ref().is_some_and(|session| session.account == leader.account);
    let link = |(of, word, title): &(Period, &str, &'static str)| PeriodLink {
        title,
        url: format!("/leaderboard?period={word}"),
        here: *of == period,
    };
    let periods = PERIODS.iter().map(link).collect();
    let mut response = page(StatusCode::OK, &LeaderboardPage { frame, periods, rows: rows(&board, own), standing });
    guard.keep(context, &mut response);
    Ok(response)
}
