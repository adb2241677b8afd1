//! The actions on our resources (docs/design/actions.md): served by every replica, leader or not, from what the API
//! server says at that moment.

mod credential;
mod kept;
mod keys;
mod logs;
mod object;
mod resync;
mod runs;
pub mod score;
mod token;

use std::sync::Arc;

use atelier_apiserver::{Action, ActionInfo, Actions, Column, Table};
use jiff::Timestamp;
use kube::Client;
use serde_json::json;

use crate::archive::Archive;

/// What the actions work with.
#[derive(Clone)]
pub struct Deps {
    /// The way to the API server, as the operator.
    pub client: Client,
    /// The way to gateways, if they have a listener for the operator.
    pub gateways: Option<score::Gateways>,
    /// What was asked of services in the past.
    pub archive: Arc<Archive>,
    /// The time.
    pub clock: fn() -> Timestamp,
}

macro_rules! with {
    ($deps:ident, $run:path) => {{
        let deps = $deps.clone();
        move |call| $run(deps.clone(), call)
    }};
    ($deps:ident, $run:path, $also:ident) => {{
        let deps = $deps.clone();
        move |call, $also| $run(deps.clone(), call, $also)
    }};
}

/// All actions.
pub fn all(deps: &Deps) -> Actions {
    let service = |name| ActionInfo::new("webservices", "WebService", name);
    let run = |name| ActionInfo::new("runs", "Run", name);
    let list_keys = service("listkeys").summary("Shows both keys of a web service.");
    let regenerate = service("regeneratekey")
        .summary("Makes one key of a web service anew; the other is not touched.");
    let token =
        service("token").summary("Gives the caller a token that opens a web service for a while.");
    let score = service("score").summary(
        "Sends a request to a web service, in the caller's name, and answers what it answers.",
    );
    let service_log = service("log")
        .shows()
        .long_running()
        .summary("The output of a web service's pods.");
    // A right of its own: a log has nothing that callers sent.
    let data = service("data")
        .shows()
        .summary("Inputs and predictions that were collected of a web service.");
    let run_log = run("log")
        .shows()
        .long_running()
        .summary("The output of a run's command.");
    let cancel = run("cancel").summary("Ends a run. It cannot be taken back.");
    let why = run("why")
        .shows()
        .summary("Why a run is not running, or how it ended.");
    let resync = ActionInfo::new("workspaces", "Workspace", "resynckeys")
        .summary("Gives the managed identity back the grants that were taken away.");
    let store = ActionInfo::new("workspaces", "Workspace", "storecredential").summary(
        "Makes a Secret that resources can name and nobody can read, or gives it new values.",
    );
    Actions::new()
        .with(Action::bare(list_keys, with!(deps, keys::list)))
        .with(Action::json(
            regenerate,
            with!(deps, keys::regenerate, body),
        ))
        .with(Action::bare(token, with!(deps, token::give)))
        .with(Action::raw(score, with!(deps, score::score, request)))
        .with(Action::raw(
            service_log,
            with!(deps, logs::service, request),
        ))
        .with(Action::raw(data, with!(deps, kept::data, request)))
        .with(Action::raw(run_log, with!(deps, logs::run, request)))
        .with(Action::bare(cancel, with!(deps, runs::cancel)))
        .with(Action::table(why, why_table(), with!(deps, runs::why)))
        .with(Action::bare(resync, with!(deps, resync::resync)))
        .with(Action::json(store, with!(deps, credential::store, body)))
}

fn why_table() -> Table<atelier_api::actions::RunExplanation> {
    let column = |name, description| Column {
        name,
        kind: "string",
        description,
        priority: 0,
    };
    let columns = vec![
        column("Name", "The run."),
        column("State", "Its state."),
        column("Reason", "Why: the nearest cause first."),
    ];
    Table::new(columns, |why| {
        let row = |reason: &String| vec![json!(why.metadata.name), json!(why.state), json!(reason)];
        why.reasons.iter().map(row).collect()
    })
}
