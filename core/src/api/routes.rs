//! Everything the admin API serves, listed once: dispatch, roles, the OpenAPI document and tests are
//! made from this list.

use super::Kind;
use crate::directory::{HolderKind, Role};
use crate::mount::Verb;

/// Something that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method it takes.
    pub method: Verb,
    /// Its path; `{name}` stands for one segment.
    pub path: &'static str,
    /// What it does.
    pub operation: Operation,
    /// Who may do it.
    pub need: Need,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Those of a kind, page by page.
    List(Kind),
    /// A new one.
    Create(Kind),
    /// One by its name.
    Show(Kind),
    /// Some of its fields get other values.
    Update(Kind),
    /// It is gone.
    Delete(Kind),
    /// Its prepaid budget grows.
    TopUp(Kind),
    /// Where its limits stand.
    Limits(Kind),
    /// A key gets a new secret.
    Rotate,
    /// A key is refused from now on.
    Block,
    /// It no longer is.
    Unblock,
    /// Who asks.
    Me,
    /// A short-lived key.
    Mint,
    /// What was spent.
    Spend,
    /// The latest requests.
    Requests,
    /// What models cost.
    Prices,
    /// Which models may be asked for.
    Models,
    /// What has been learned of the upstreams.
    Upstreams,
    /// The config is read again.
    Reload,
    /// The audit log.
    Audit,
    /// Whether it is complete.
    Verify,
    /// This API as a document.
    OpenApi,
    /// A key in LiteLLM's form.
    KeyGenerate,
    /// The same: what it is.
    KeyInfo,
    /// The same: other values.
    KeyUpdate,
    /// The same: some are gone.
    KeyDelete,
    /// A team in LiteLLM's form.
    TeamNew,
}

/// Who may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Whoever has a key, about himself.
    Own,
    /// Whoever has a key, for himself, and an admin for everybody.
    Mint,
    /// Whoever has a key; it tells nothing of anybody.
    Known,
    /// To see what belongs to a team.
    Look,
    /// To see everything.
    LookAll,
    /// To change keys of a team.
    Manage,
    /// To change everything.
    Rule,
}

/// How far a right goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Nowhere.
    Nothing,
    /// To oneself.
    Own,
    /// To one's own team.
    Team,
    /// To everything.
    All,
}

impl Need {
    /// How far a role's right to this goes.
    pub const fn reach(self, role: Role) -> Reach {
        match (self, role) {
            (_, Role::Admin) | (Self::Known, _) => Reach::All,
            (Self::Own | Self::Look | Self::LookAll, Role::Viewer) => Reach::All,
            (Self::Own | Self::Look | Self::Manage, Role::Manager) => Reach::Team,
            (Self::Own | Self::Mint, Role::Caller) | (Self::Mint, Role::Viewer | Role::Manager) => Reach::Own,
            (Self::Look | Self::LookAll | Self::Manage | Self::Rule, Role::Caller)
            | (Self::Manage | Self::Rule, Role::Viewer)
            | (Self::LookAll | Self::Rule, Role::Manager) => Reach::Nothing,
        }
    }

    /// In words, for refusals and the document.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Own | Self::Mint | Self::Known => "any key",
            Self::Look => "a viewer, the manager of the team or an admin",
            Self::LookAll => "a viewer or an admin",
            Self::Manage => "the manager of the team or an admin",
            Self::Rule => "an admin",
        }
    }
}

/// Where a request has come: authentication, roles and dispatch all go by this one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// What is served there.
    pub route: &'static Route,
    /// What stands for `{name}`; empty where the path has none.
    pub name: String,
}

const ORGANISATION: Kind = Kind::Holder(HolderKind::Organisation);
const TEAM: Kind = Kind::Holder(HolderKind::Team);
const USER: Kind = Kind::Holder(HolderKind::User);
const TAG: Kind = Kind::Holder(HolderKind::Tag);

/// Everything that is served.
pub const ROUTES: &[Route] = &[
    get("/api/organisations", Operation::List(ORGANISATION), Need::LookAll),
    post("/api/organisations", Operation::Create(ORGANISATION), Need::Rule),
    get("/api/organisations/{name}", Operation::Show(ORGANISATION), Need::LookAll),
    patch("/api/organisations/{name}", Operation::Update(ORGANISATION), Need::Rule),
    delete("/api/organisations/{name}", Operation::Delete(ORGANISATION), Need::Rule),
    post("/api/organisations/{name}/topup", Operation::TopUp(ORGANISATION), Need::Rule),
    get("/api/teams", Operation::List(TEAM), Need::Look),
    post("/api/teams", Operation::Create(TEAM), Need::Rule),
    get("/api/teams/{name}", Operation::Show(TEAM), Need::Look),
    patch("/api/teams/{name}", Operation::Update(TEAM), Need::Rule),
    delete("/api/teams/{name}", Operation::Delete(TEAM), Need::Rule),
    post("/api/teams/{name}/topup", Operation::TopUp(TEAM), Need::Rule),
    get("/api/users", Operation::List(USER), Need::LookAll),
    post("/api/users", Operation::Create(USER), Need::Rule),
    get("/api/users/{name}", Operation::Show(USER), Need::LookAll),
    patch("/api/users/{name}", Operation::Update(USER), Need::Rule),
    delete("/api/users/{name}", Operation::Delete(USER), Need::Rule),
    post("/api/users/{name}/topup", Operation::TopUp(USER), Need::Rule),
    get("/api/tags", Operation::List(TAG), Need::LookAll),
    post("/api/tags", Operation::Create(TAG), Need::Rule),
    get("/api/tags/{name}", Operation::Show(TAG), Need::LookAll),
    patch("/api/tags/{name}", Operation::Update(TAG), Need::Rule),
    delete("/api/tags/{name}", Operation::Delete(TAG), Need::Rule),
    post("/api/tags/{name}/topup", Operation::TopUp(TAG), Need::Rule),
    get("/api/keys", Operation::List(Kind::Key), Need::Look),
    post("/api/keys", Operation::Create(Kind::Key), Need::Manage),
    get("/api/keys/{name}", Operation::Show(Kind::Key), Need::Look),
    patch("/api/keys/{name}", Operation::Update(Kind::Key), Need::Manage),
    delete("/api/keys/{name}", Operation::Delete(Kind::Key), Need::Manage),
    post("/api/keys/{name}/topup", Operation::TopUp(Kind::Key), Need::Manage),
    post("/api/keys/{name}/rotate", Operation::Rotate, Need::Manage),
    post("/api/keys/{name}/block", Operation::Block, Need::Manage),
    post("/api/keys/{name}/unblock", Operation::Unblock, Need::Manage),
    get("/api/limits/organisation/{name}", Operation::Limits(ORGANISATION), Need::LookAll),
    get("/api/limits/team/{name}", Operation::Limits(TEAM), Need::Look),
    get("/api/limits/user/{name}", Operation::Limits(USER), Need::LookAll),
    get("/api/limits/tag/{name}", Operation::Limits(TAG), Need::LookAll),
    get("/api/limits/key/{name}", Operation::Limits(Kind::Key), Need::Own),
    get("/api/me", Operation::Me, Need::Own),
    post("/api/tokens", Operation::Mint, Need::Mint),
    get("/api/spend", Operation::Spend, Need::Own),
    get("/api/requests", Operation::Requests, Need::Look),
    get("/api/prices", Operation::Prices, Need::Known),
    get("/api/models", Operation::Models, Need::Own),
    get("/api/upstreams", Operation::Upstreams, Need::LookAll),
    post("/api/reload", Operation::Reload, Need::Rule),
    get("/api/audit", Operation::Audit, Need::LookAll),
    get("/api/audit/verify", Operation::Verify, Need::LookAll),
    get("/api/openapi.json", Operation::OpenApi, Need::Known),
    post("/key/generate", Operation::KeyGenerate, Need::Manage),
    get("/key/info", Operation::KeyInfo, Need::Own),
    post("/key/update", Operation::KeyUpdate, Need::Manage),
    post("/key/delete", Operation::KeyDelete, Need::Manage),
    post("/team/new", Operation::TeamNew, Need::Rule),
];

const fn get(path: &'static str, operation: Operation, need: Need) -> Route {
    Route { method: Verb::Get, path, operation, need }
}

const fn post(path: &'static str, operation: Operation, need: Need) -> Route {
    Route { method: Verb::Post, path, operation, need }
}

const fn patch(path: &'static str, operation: Operation, need: Need) -> Route {
    Route { method: Verb::Patch, path, operation, need }
}

const fn delete(path: &'static str, operation: Operation, need: Need) -> Route {
    Route { method: Verb::Delete, path, operation, need }
}

/// Every route whose path this is, in normal form, whatever its method; with what stands for `{name}`.
pub fn at(path: &str) -> impl Iterator<Item = Arrival> {
    ROUTES.iter().filter_map(move |route| route.fit(path))
}

impl Route {
    fn fit(&'static self, path: &str) -> Option<Arrival> {
        let Some((before, after)) = self.path.split_once("{name}") else {
            return (self.path == path).then(|| Arrival { route: self, name: String::new() });
        };
        let name = path.strip_prefix(before)?.strip_suffix(after)?;
        let one_segment = !name.is_empty() && !name.contains('/');
        one_segment.then(|| Arrival { route: self, name: name.to_owned() })
    }

    /// Whether its path names somebody.
    pub fn is_named(&self) -> bool {
        self.path.contains("{name}")
    }
}
