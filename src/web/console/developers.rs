//! Developers: finding them.

use super::frame::{Console, ConsoleFrame, failed};
use super::nav::Section;
use super::words::{Moment, address};
use crate::domain::developer::Search;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::Cursor;
use crate::engine::{DeveloperPage, ListedDeveloper, VersionedProgram};
use crate::web::query::Query;
use crate::web::{Context, readable};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

const A_PAGE: usize = 50;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/developers", show));
}

#[derive(Template)]
#[template(path = "console/developers.html")]
struct DevelopersPage {
    frame: ConsoleFrame,
    q: String,
    problem: Option<String>,
    rows: Vec<Row>,
    is_first: bool,
    url: String,
    next: Option<String>,
    is_masked: bool,
}

struct Row {
    url: String,
    title: String,
    name: Option<String>,
    code: Option<String>,
    is_partner: bool,
    is_erased: bool,
    available: String,
    pending: Option<String>,
    owed: Option<String>,
    earned: String,
    since: Moment,
}

impl Row {
    fn new(listed: ListedDeveloper, program: &VersionedProgram, url: &str, whole: bool) -> Self {
        let ListedDeveloper { row, balance, totals } = listed;
        let (id, is_erased) = (row.account.id.to_string(), row.erased_at_ms.is_some());
        let some = |amount: i64| (amount != 0).then(|| program.amount_text(amount));
        let email = address(row.account.email, whole);
        let title = email.or(row.account.external_id).unwrap_or_else(|| id.clone());
        Self {
            url: format!("{url}/{id}"),
            title: if is_erased { "Erased".into() } else { title },
            name: row.account.name.filter(|_| whole),
            code: row.code,
            is_partner: row.account.partner,
            is_erased,
            available: program.amount_text(balance.available),
            pending: some(balance.pending),
            owed: some(balance.owed),
            earned: program.amount_text(totals.granted),
            since: Moment::day_in_figures(row.account.created_at_ms),
        }
    }
}

pub async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    list(&request, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn list(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Developers)?;
    let query = Query::parse(request.query_string())?;
    let (q, after) = (query.get("q").unwrap_or_default().to_owned(), query.cursor()?);
    let program = context.engine.program_of(console.project.id).await?;
    let whole = console.role().may_write();
    let search = Search::parse(&q).map(|search| if whole { search } else { search.whole() });
    let (found, error) = match search {
        Ok(search) => (context.engine.search_developers(console.project.id, search, after, A_PAGE).await?, None),
        Err(error) if error.kind == Kind::Invalid => (DeveloperPage::default(), Some(error)),
        Err(error) => return Err(error),
    };
    let url = console.url(Section::Developers);
    let asked = utf8_percent_encode(&q, NON_ALPHANUMERIC);
    let template = DevelopersPage {
        frame: console.frame(context),
        problem: error.as_ref().map(|error: &Error| error.message.clone()),
        rows: found.items.into_iter().map(|row| Row::new(row, &program, &url, whole)).collect(),
        is_first: after.is_none(),
        next: found.next.map(|next| format!("{url}?q={asked}&cursor={}", Cursor(next))),
        url,
        q,
        is_masked: !whole,
    };
    console.page_or(context, error.as_ref(), &template)
}
