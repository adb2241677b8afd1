//! Who has to look again when something else changed: the relations between kinds, in one place.

use std::collections::HashMap;
use std::sync::Arc;

use futures::channel::mpsc::UnboundedReceiver;
use futures::{Stream, StreamExt as _};

use crate::ctx::Ctx;
use crate::kit::primary::Change;
use crate::{role_assignment, web_service};

/// Passes changes on until their sources end.
pub async fn run(
    ctx: Arc<Ctx>,
    mut changes: UnboundedReceiver<Change>,
    namespaces: impl Stream<Item = String> + Send,
) {
    let mut namespaces = Box::pin(namespaces);
    let mut last = HashMap::new();
    loop {
        tokio::select! {
            Some(change) = changes.next() => {
                if is_news(&mut last, &change) {
                    relay(&ctx, &change).await;
                }
            }
            Some(namespace) = namespaces.next() => everything_in(&ctx, &namespace),
            else => return,
        }
    }
}

/// What others go by: identity, spec, deletion and, for namespaces, labels. A new status is no news to them, except
/// that a run's tells its compute target and workspace that it has ended, and a workspace's whether its storage works.
fn is_news(last: &mut HashMap<(&'static str, String, String), Change>, change: &Change) -> bool {
    let id = (change.kind, change.namespace.clone(), change.name.clone());
    let before = if change.gone {
        last.remove(&id)
    } else {
        last.insert(id, change.clone())
    };
    change.gone || change.kind == "Run" || before.as_ref() != Some(change)
}

async fn relay(ctx: &Ctx, change: &Change) {
    let namespace = change.namespace.as_str();
    if change.gone {
        ctx.contests.forget_owner(&change.uid);
    }
    match change.kind {
        "Namespace" if change.gone || change.deleting => ctx.watches.forget(&change.name),
        "Namespace" => {
            everything_in(ctx, &change.name);
            // ServiceAccounts of this namespace may have roles elsewhere, by its consent.
            ctx.triggers
                .fire_all(&ctx.stores.role_assignments, |assignment| {
                    assignment.spec.principal.namespace.as_deref() == Some(change.name.as_str())
                });
        }
        "Workspace" => {
            if change.gone {
                ctx.probes.forget(&change.uid);
                ctx.claims.let_go(namespace, &change.name);
                ctx.workspace_gone.notify_one();
            }
            everything_in(ctx, namespace);
        }
        // What a claim can be depends on it.
        "StorageClass" => ctx.triggers.fire_all(&ctx.stores.workspaces, |_| true),
        "RoleAssignment" if change.gone => {
            role_assignment::deleted(ctx, namespace, &change.uid).await
        }
        "ComputeTarget" => {
            if change.gone {
                ctx.board.forget(namespace, &change.name);
            }
            ctx.triggers.fire_all(&ctx.stores.runs, |run| {
                run.metadata.namespace.as_deref() == Some(namespace)
                    && run.spec.compute_target == change.name
            });
        }
        "Run" => {
            if let Some(target) = &change.also {
                ctx.triggers.fire("ComputeTarget", namespace, target);
            }
            workspaces_in(ctx, namespace);
        }
        "WebService" => {
            if change.gone {
                web_service::deleted(ctx, namespace, &change.name);
            }
            workspaces_in(ctx, namespace);
        }
        _ => {}
    }
}

fn workspaces_in(ctx: &Ctx, namespace: &str) {
    ctx.triggers.fire_all(&ctx.stores.workspaces, |w| {
        w.metadata.namespace.as_deref() == Some(namespace)
    });
}

fn everything_in(ctx: &Ctx, namespace: &str) {
    workspaces_in(ctx, namespace);
    let (stores, triggers) = (&ctx.stores, &ctx.triggers);
    triggers.fire_all(&stores.role_assignments, |o| {
        o.metadata.namespace.as_deref() == Some(namespace)
    });
    triggers.fire_all(&stores.compute_targets, |o| {
        o.metadata.namespace.as_deref() == Some(namespace)
    });
    triggers.fire_all(&stores.runs, |o| {
        o.metadata.namespace.as_deref() == Some(namespace)
    });
    triggers.fire_all(&stores.web_services, |o| {
        o.metadata.namespace.as_deref() == Some(namespace)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: &'static str, generation: i64) -> Change {
        Change {
            kind,
            namespace: "n".into(),
            name: "a".into(),
            uid: "u".into(),
            generation,
            deleting: false,
            gone: false,
            labels: Default::default(),
            also: None,
        }
    }

    #[test]
    fn a_new_status_is_no_news_to_others_except_a_runs() {
        let mut last = HashMap::new();
        assert!(is_news(&mut last, &change("Workspace", 1)));
        assert!(!is_news(&mut last, &change("Workspace", 1)));
        assert!(is_news(&mut last, &change("Workspace", 2)));
        assert!(is_news(&mut last, &change("Run", 1)) && is_news(&mut last, &change("Run", 1)));
    }

    #[test]
    fn what_is_gone_is_always_news() {
        let mut last = HashMap::new();
        is_news(&mut last, &change("WebService", 1));
        assert!(is_news(
            &mut last,
            &Change {
                gone: true,
                ..change("WebService", 1)
            }
        ));
        assert!(is_news(&mut last, &change("WebService", 1)));
    }
}
