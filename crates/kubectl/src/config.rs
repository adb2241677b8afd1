//! The way to the cluster: kubeconfigs read as kubectl reads them.

use std::ffi::OsStr;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::args::{self, GlobalArgs};
use crate::failure::Failure;

/// The way to the cluster that the command line and the environment name.
pub async fn load(global: &GlobalArgs) -> Result<Config, Failure> {
    let mut config = match from_files(global).await {
        Ok(config) => config,
        // In a pod there is no kubeconfig, and nothing was asked that only one could answer.
        Err(error) if is_absent(&error) && names_nothing(global) => {
            Config::incluster().map_err(|_| failure(&error))?
        }
        Err(error) => return Err(failure(&error)),
    };
    impersonate(&mut config, global)?;
    // A key made anew twice, or a score counted twice, is worse than an error.
    config.default_retry = false;
    // Shows in the cluster's audit log.
    config.headers.push((
        USER_AGENT,
        HeaderValue::from_static(concat!("kubectl-atelier/", env!("CARGO_PKG_VERSION"))),
    ));
    Ok(config)
}

async fn from_files(global: &GlobalArgs) -> Result<Config, KubeconfigError> {
    let files = match (&global.kubeconfig, args::kubeconfig_variable()) {
        (Some(file), _) => Kubeconfig::read_from(file)?,
        (None, Some(list)) => merged(&list)?,
        (None, None) => Kubeconfig::read()?,
    };
    let options = KubeConfigOptions {
        context: global.context.clone(),
        cluster: global.cluster.clone(),
        user: global.user.clone(),
    };
    Config::from_custom_kubeconfig(files, &options).await
}

/// The files of `$KUBECONFIG`. Those that are not there are left out, as kubectl does.
fn merged(list: &OsStr) -> Result<Kubeconfig, KubeconfigError> {
    std::env::split_paths(list)
        .filter(|path| path.exists())
        .try_fold(Kubeconfig::default(), |all, path| {
            all.merge(Kubeconfig::read_from(path)?)
        })
}

fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath | KubeconfigError::CurrentContextNotSet => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

fn names_nothing(global: &GlobalArgs) -> bool {
    global.kubeconfig.is_none()
        && global.context.is_none()
        && global.cluster.is_none()
        && global.user.is_none()
}

fn failure(error: &KubeconfigError) -> Failure {
    Failure::Config(error.to_string())
}

fn impersonate(config: &mut Config, global: &GlobalArgs) -> Result<(), Failure> {
    match (&global.impersonate, global.impersonate_groups.is_empty()) {
        (Some(user), _) => {
            config.auth_info.impersonate = Some(user.clone());
            // Groups of the kubeconfig's own impersonation belong to somebody else.
            config.auth_info.impersonate_groups = Some(global.impersonate_groups.clone());
            Ok(())
        }
        (None, true) => Ok(()),
        (None, false) => Err(Failure::Usage("--as-group needs --as".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(http::Uri::from_static("http://127.0.0.1:1"))
    }

    #[test]
    fn groups_are_for_somebody() {
        let mut global = GlobalArgs {
            impersonate_groups: vec!["team".into()],
            ..GlobalArgs::default()
        };
        assert!(matches!(
            impersonate(&mut config(), &global),
            Err(Failure::Usage(_))
        ));
        global.impersonate = Some("ada".into());
        let mut config = config();
        impersonate(&mut config, &global).unwrap();
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("ada"));
        assert_eq!(
            config.auth_info.impersonate_groups,
            Some(vec!["team".to_owned()])
        );
    }
}
