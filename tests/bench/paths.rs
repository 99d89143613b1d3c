//! Three ways to the same server, each with TLS from the client on: direct, through HAProxy in TCP mode, through Keyhole.

use anyhow::Context;
use harness::OpenGrant;
use mysql_async::{Opts, OptsBuilder, SslOpts};
use tempfile::TempDir;

use crate::Bench;

/// Where HAProxy listens in the network of the proxy's pod.
const HAPROXY_PORT: u16 = 13306;

/// HAProxy while it runs. It must be stopped.
pub struct HaProxy {
    folder: TempDir,
    /// Address of the pod in whose network it runs.
    host: String,
}

impl Bench {
    /// Through the proxy of this grant: straight to its pod, with a token that the plug-in made.
    pub async fn through_keyhole(&self, grant: &OpenGrant) -> anyhow::Result<Opts> {
        let token = self.requester.keyhole("token").arg(&grant.name).succeeds().await?;
        let status = self.cluster.grant(&grant.name).await?.status.context("a grant without status")?;
        let ca = status.ca.context("a grant without certificate authority")?;
        let tls = tls(ca, status.server_name.context("a grant without server name")?);
        let client = OptsBuilder::from_opts(Opts::default())
            .ip_or_hostname(self.pod_address(grant).await?)
            .user(Some(&self.requester.name))
            .pass(Some(token.trim()))
            .enable_cleartext_plugin(true);
        Ok(finished(client, tls))
    }

    /// Straight to the server, as a user who may do what the user of a lease may.
    pub async fn direct(&self) -> anyhow::Result<Opts> {
        let password = "a-password-of-the-benchmark-alone";
        self.database
            .as_root(&format!(
                "CREATE OR REPLACE USER bench@'%' IDENTIFIED BY '{password}' REQUIRE SSL; \
                 GRANT SELECT ON shop.* TO bench@'%'"
            ))
            .await?;
        let address = self.database.address(&self.cluster).await?;
        let (host, _port) = address.rsplit_once(':').context("an address has a port")?;
        let name = format!("{}.{}.svc", self.database.name, self.cluster.namespace);
        let client = OptsBuilder::from_opts(Opts::default())
            .ip_or_hostname(host)
            .user(Some("bench"))
            .pass(Some(password));
        Ok(finished(client, tls(self.database.ca.clone(), name)))
    }

    /// The same server through HAProxy, which runs in the network of the grant's pod: the same way for the packets.
    pub async fn starts_haproxy(&self, grant: &OpenGrant) -> anyhow::Result<HaProxy> {
        let folder = tempfile::tempdir()?;
        let server = self.database.address(&self.cluster).await?;
        let config = format!(
            "global\n  maxconn 200\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
             listen database\n  bind :{HAPROXY_PORT}\n  server one {server}\n"
        );
        let (file, pid) = (folder.path().join("haproxy.cfg"), folder.path().join("pid"));
        std::fs::write(&file, config)?;
        let pod = self.cluster.within_pod(grant).await?.args(["in", "/usr/sbin/haproxy", "-D", "-p"]);
        pod.arg(&pid).arg("-f").arg(&file).succeeds().await?;
        Ok(HaProxy { folder, host: self.pod_address(grant).await? })
    }

    async fn pod_address(&self, grant: &OpenGrant) -> anyhow::Result<String> {
        let status = self.cluster.pod(grant).await?.status.unwrap_or_default();
        status.pod_ip.context("a pod without address")
    }
}

impl HaProxy {
    /// The direct way, but through here.
    pub fn instead_of(&self, direct: &Opts) -> Opts {
        OptsBuilder::from_opts(direct.clone()).ip_or_hostname(&self.host).tcp_port(HAPROXY_PORT).into()
    }

    /// Ends it, by its process id.
    pub async fn stops(self, bench: &Bench) -> anyhow::Result<()> {
        let pid = std::fs::read_to_string(self.folder.path().join("pid"))?;
        bench.cluster.bed.verb("in").args(["kill", pid.trim()]).succeeds().await?;
        Ok(())
    }
}

fn tls(ca: String, name: String) -> SslOpts {
    SslOpts::default()
        .with_root_certs(vec![ca.into_bytes().into()])
        .with_disable_built_in_roots(true)
        .with_danger_tls_hostname_override(Some(name))
}

fn finished(client: OptsBuilder, tls: SslOpts) -> Opts {
    client.db_name(Some("shop")).prefer_socket(false).ssl_opts(tls).into()
}
