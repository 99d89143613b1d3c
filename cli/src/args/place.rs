//! Which cluster, as whom: what kubectl's own global options say, after `keyhole`. `--insecure-skip-tls-verify` is left out on
//! purpose: who could answer in the API server's place could have anything approved.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration::span;

/// Which cluster and namespace, and as whom. As with kubectl, but after `keyhole`.
#[derive(Args, Clone, Default)]
pub struct Place {
    /// Namespace of the objects; default: the context's
    #[arg(short, long, global = true, value_name = "NAMESPACE", help_heading = "Cluster")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig; default: the current one
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,
    /// The kubeconfig file; default: $KUBECONFIG, then ~/.kube/config
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Cluster of the kubeconfig; default: the context's
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub cluster: Option<String>,
    /// User of the kubeconfig; default: the context's
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub user: Option<String>,
    /// Address of the API server, in place of the cluster's
    #[arg(short, long, global = true, value_name = "URL", help_heading = "Cluster")]
    pub server: Option<String>,
    /// Bearer token for the API server, in place of whatever the user has
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Cluster")]
    pub token: Option<String>,
    /// Act as this user; you need the right to impersonate them
    #[arg(long = "as", global = true, value_name = "USER", help_heading = "Cluster")]
    pub impersonate: Option<String>,
    /// With --as: act as a member of this group (repeat for more)
    #[arg(long = "as-group", global = true, value_name = "GROUP", help_heading = "Cluster")]
    pub impersonate_groups: Vec<String>,
    /// How long one call of the API server may take: 30s, 2m; 0 means as long as it takes. Waits go on all the same
    #[arg(
        long, global = true, value_name = "DURATION", default_value = "0", value_parser = span,
        hide_default_value = true, help_heading = "Cluster"
    )]
    pub request_timeout: Duration,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::args::Cli;

    #[test]
    fn kubectls_options_are_understood_before_and_after_the_command() {
        let words = "--as requester --as-group=developers --as-group oncall --user admin --cluster blue \
                     --server https://api.example.com --token t --request-timeout 30s -n shop";
        for line in [format!("kubectl-keyhole {words} pending"), format!("kubectl-keyhole pending {words}")] {
            let place =
                Cli::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string()).unwrap().place;
            assert_eq!(place.impersonate_groups, ["developers", "oncall"], "{line}");
            assert_eq!(place.request_timeout.as_secs(), 30, "{line}");
            let said =
                [place.impersonate, place.user, place.cluster, place.token].map(Option::unwrap_or_default);
            assert_eq!(said, ["requester", "admin", "blue", "t"], "{line}");
        }
    }

    #[test]
    fn nobody_turns_the_check_of_the_api_server_off() {
        let line = ["kubectl-keyhole", "--insecure-skip-tls-verify", "pending"];
        assert!(Cli::try_parse_from(line).is_err());
    }
}
