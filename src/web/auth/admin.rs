//! Who may use the console's calls, and what for.

use super::{caller, context, reader, signed_in};
use crate::domain::access::Scope;
use crate::domain::audit::Actor;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::operator::OperatorRole;
use crate::engine::{Project, SignedIn};
use crate::web::error::ApiError;
use crate::web::session::{self, Session};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use std::future::{Ready, ready};

type Extracted<T> = Ready<std::result::Result<T, ApiError>>;

/// The project that a path names by `{project}` (id or slug): for its own gateway key with the scope `admin`, or for an
/// operator of its team who is signed in. Any role may read.
pub struct AdminRead {
    pub project: Project,
    pub actor: Actor,
    role: OperatorRole,
}

impl FromRequest for AdminRead {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(access(request).map_err(ApiError))
    }
}

impl AdminRead {
    /// Whether they may change things as well: to who may not, people's addresses are shown masked.
    pub fn may_write(&self) -> bool {
        self.role.may_write()
    }

    /// `Forbidden` for a read-only operator.
    pub fn check_write(&self) -> Result<()> {
        self.role.check_write()
    }
}

/// The same for what changes something: roles owner and operator, or the key. A session's request must come from our own
/// pages. `Forbidden` for a read-only operator.
pub struct AdminWrite {
    pub project: Project,
    pub actor: Actor,
}

impl FromRequest for AdminWrite {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let write = |access: AdminRead| {
            access.role.check_write()?;
            Ok(Self { project: access.project, actor: access.actor })
        };
        ready(access(request).and_then(write).map_err(ApiError))
    }
}

/// What only the team's owners may do. A key with the scope `admin` was made by one who has the file, or by an operator
/// for the project: it does not decide who else runs the team.
pub struct AdminOwner {
    pub project: Project,
    pub operator: SignedIn,
}

impl FromRequest for AdminOwner {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(owner(request).map_err(ApiError))
    }
}

fn owner(request: &HttpRequest) -> Result<AdminOwner> {
    match who(request)? {
        (project, Who::Operator(operator)) => {
            operator.role.check_owner()?;
            Ok(AdminOwner { project, operator })
        }
        (_, Who::Key(_)) => {
            Err(Error::new(Kind::Forbidden, "operator_required", "This takes an owner who is signed in, not a key."))
        }
    }
}

/// An operator who is signed in, whatever the role, for what is their own.
pub struct AdminOperator {
    pub operator: SignedIn,
}

impl FromRequest for AdminOperator {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let none =
            || Error::new(Kind::Forbidden, "operator_required", "This takes an operator who is signed in, not a key.");
        let operator = who(request).and_then(|(_, who)| match who {
            Who::Operator(operator) => Ok(Self { operator }),
            Who::Key(_) => Err(none()),
        });
        ready(operator.map_err(ApiError))
    }
}

enum Who {
    Operator(SignedIn),
    Key(Actor),
}

fn access(request: &HttpRequest) -> Result<AdminRead> {
    Ok(match who(request)? {
        (project, Who::Operator(SignedIn { operator, role, .. })) => {
            AdminRead { project, actor: Actor::Operator(operator), role }
        }
        (project, Who::Key(actor)) => AdminRead { project, actor, role: OperatorRole::Operator },
    })
}

/// A key goes before a session.
fn who(request: &HttpRequest) -> Result<(Project, Who)> {
    let context = context(request)?;
    let named = || {
        let name = request.match_info().get("project").unwrap_or_default();
        context.engine.project_for_admin(reader(request)?, name)
    };
    let token =
        Session::Operator.token(&context, request).filter(|_| !request.headers().contains_key(header::AUTHORIZATION));
    let none = || Error::not_found("No such project.");
    if let Some(token) = token {
        let operator = signed_in(&context, request, &token)?;
        session::check_origin(&context, request)?;
        let project = named()?;
        return if project.team == operator.team { Ok((project, Who::Operator(operator))) } else { Err(none()) };
    }
    let caller = caller(request)?;
    caller.require(Scope::Admin)?;
    let project = named()?;
    // In the words for a project that is not there.
    if project.id == caller.project { Ok((project, Who::Key(Actor::Key(caller.key)))) } else { Err(none()) }
}
