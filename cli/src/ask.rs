//! `request`: asks, and waits if told to.

use std::process::ExitCode;

use kube::ResourceExt;

use crate::args::RequestArgs;
use crate::cluster::Cluster;
use crate::person::Person;
use crate::{print, requests, show, status, terminal};

/// See `Command::Request`.
pub async fn ask(cluster: &Cluster, args: RequestArgs) -> anyhow::Result<ExitCode> {
    let person = Person::ask(cluster).await?;
    let request = requests::request(&args, person, cluster.namespace());
    if args.sending.dry_run {
        return show(&request, args.sending.format());
    }
    let sent = requests::send_request(cluster, &request).await?;
    let (name, namespace) = (sent.name_any(), cluster.namespace());
    if args.wait {
        terminal::tell(&format!("asked: {name}"));
        return status::follow_new(cluster, &name).await;
    }
    if args.sending.output.is_some() {
        return show(&sent, args.sending.format());
    }
    terminal::tell(&format!("follow it with: kubectl keyhole status {name} -n {namespace} --wait"));
    print(&format!("{name}\n"))
}
