//! From a kubeconfig and what the command line says instead, to a client.

use access::chain;
use kube::client::ClientBuilder;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;

use crate::args::Place;

/// No way to the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// No usable kubeconfig.
    #[error("cannot use the kubeconfig (see --kubeconfig and --context): {why}")]
    Kubeconfig {
        /// Why.
        why: String,
    },
    /// Groups alone name nobody.
    #[error("--as-group needs --as: say which user to act as")]
    NobodyToActAs,
    /// Not an address.
    #[error("--server {server:?} is not the address of an API server: {why}")]
    Server {
        /// What was given.
        server: String,
        /// Why.
        why: String,
    },
    /// The client can't be made of it.
    #[error("cannot make a client from the kubeconfig: {why}")]
    Client {
        /// Why.
        why: String,
    },
}

/// The client, and the namespace of its context. Reads files and may run the kubeconfig's login program; calls no API server.
pub async fn reach(place: &Place) -> Result<(Client, String), ReachError> {
    let config = overridden(load(place).await?, place)?;
    let namespace = config.default_namespace.clone();
    let bad = |error: kube::Error| ReachError::Client { why: chain(&error) };
    if place.request_timeout.is_zero() {
        return Ok((Client::try_from(config).map_err(bad)?, namespace));
    }
    // Until the answer begins: a watch lasts, and so does a port-forward.
    let builder = ClientBuilder::try_from(config).map_err(bad)?;
    Ok((builder.with_layer(&TimeoutLayer::new(place.request_timeout)).build(), namespace))
}

/// What the kubeconfig says, as kubectl reads it.
async fn load(place: &Place) -> Result<Config, ReachError> {
    let Place { context, cluster, user, kubeconfig, server, .. } = place;
    let bad = |error: &dyn std::error::Error| ReachError::Kubeconfig { why: chain(error) };
    let options =
        KubeConfigOptions { context: context.clone(), cluster: cluster.clone(), user: user.clone() };
    if let Some(path) = kubeconfig {
        let kubeconfig = Kubeconfig::read_from(path).map_err(|error| bad(&error))?;
        return Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| bad(&error));
    }
    if context.is_some() || cluster.is_some() || user.is_some() {
        return Config::from_kubeconfig(&options).await.map_err(|error| bad(&error));
    }
    match (Config::infer().await, server) {
        (Ok(config), _) => Ok(config),
        // With an address there need not be a kubeconfig at all.
        (Err(_), Some(server)) => Ok(Config::new(address(server)?)),
        (Err(error), None) => Err(bad(&error)),
    }
}

/// With what the command line says instead. A token takes the place of every other way to log in: the API server would ask
/// a client certificate first, and the person be another than they said.
fn overridden(mut config: Config, place: &Place) -> Result<Config, ReachError> {
    if let Some(server) = &place.server {
        config.cluster_url = address(server)?;
    }
    if let Some(token) = &place.token {
        config.auth_info = AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() };
    }
    match &place.impersonate {
        Some(user) => {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(place.impersonate_groups.clone());
            // What the kubeconfig says beside a user of its own is not said of this one.
            config.auth_info.impersonate_uid = None;
            config.auth_info.impersonate_user_extra = None;
        }
        None if !place.impersonate_groups.is_empty() => return Err(ReachError::NobodyToActAs),
        None => {}
    }
    Ok(config)
}

/// An address as kubectl takes it: `https://` unless it says `http://`.
fn address<T>(server: &str) -> Result<T, ReachError>
where
    T: std::str::FromStr<Err: std::error::Error>,
{
    let full = if server.contains("://") { server.to_owned() } else { format!("https://{server}") };
    let bad = |why: String| ReachError::Server { server: server.to_owned(), why };
    if full.ends_with("://") {
        return Err(bad("there is no host in it".to_owned()));
    }
    full.parse().map_err(|error: T::Err| bad(chain(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig() -> Config {
        let mut config = Config::new("https://old.example.com".parse().unwrap());
        config.auth_info.client_certificate_data = Some("certificate".into());
        config.auth_info.token_file = Some("/token".into());
        config.auth_info.impersonate_uid = Some("1".into());
        config
    }

    fn place() -> Place {
        Place { impersonate: None, ..Place::default() }
    }

    #[test]
    fn a_token_on_the_command_line_is_the_only_way_to_log_in() {
        let place = Place { token: Some("t".into()), ..place() };
        let auth = overridden(kubeconfig(), &place).unwrap().auth_info;
        assert!(auth.token.is_some() && auth.client_certificate_data.is_none() && auth.token_file.is_none());
    }

    #[test]
    fn groups_without_a_user_to_act_as_are_refused() {
        let place = Place { impersonate_groups: vec!["oncall".into()], ..place() };
        assert!(matches!(overridden(kubeconfig(), &place), Err(ReachError::NobodyToActAs)));
    }

    #[test]
    fn acting_as_somebody_keeps_ones_own_login() {
        let groups = vec!["oncall".to_owned()];
        let place =
            Place { impersonate: Some("requester".into()), impersonate_groups: groups.clone(), ..place() };
        let auth = overridden(kubeconfig(), &place).unwrap().auth_info;
        assert_eq!((auth.impersonate.as_deref(), auth.impersonate_groups), (Some("requester"), Some(groups)));
        assert!(auth.client_certificate_data.is_some() && auth.impersonate_uid.is_none());
    }

    #[test]
    fn a_server_without_a_scheme_is_spoken_to_with_tls() {
        let at = |server: &str| {
            overridden(kubeconfig(), &Place { server: Some(server.into()), ..place() })
                .map(|c| c.cluster_url.to_string())
        };
        assert_eq!(at("new.example.com:6443").unwrap(), "https://new.example.com:6443/");
        assert_eq!(at("http://127.0.0.1:8001").unwrap(), "http://127.0.0.1:8001/");
        for bad in ["", "https://", "a b"] {
            assert!(matches!(at(bad), Err(ReachError::Server { .. })), "{bad:?}");
        }
    }
}
