//! `connect` and `token`: from a grant to a client that runs, or a port that a tool can use.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::Context;
use crds::AccessGrant;
use jiff::SignedDuration;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{ConnectArgs, TokenArgs};
use crate::certificates::{SessionCertificate, SessionKey, obtain, password_token};
use crate::choose::find_or_ask;
use crate::client::mysql::{OptionFile, Program, Told};
use crate::clock;
use crate::cluster::{Cluster, Patience, Waited, wait};
use crate::grants::{OpenGrant, end_reason, find_open};
use crate::terminal::tell;
use crate::tunnel::{Forward, OpenPort, PrivateFolder, PrivateSocket, ProxyTls};

/// Between two tries to hear of a grant's end, when the API server can't be reached.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Connects to the grant. The exit code is the client's.
pub async fn connect(cluster: &Cluster, args: ConnectArgs) -> anyhow::Result<ExitCode> {
    let grant = find_or_ask(cluster, &args.grant, &args.asking).await?;
    let key = SessionKey::make()?;
    let certificate = obtain(cluster, &grant, &key, clock::now()).await?;
    match args.listen {
        None => run_client(cluster, &grant, key, certificate, &args.client_args).await,
        Some(address) => {
            let token = password_token(&grant.uid, &key, &certificate, clock::now(), grant.expires_at)?;
            let port = OpenPort::listen(address, grant.engine.native_port()).await?;
            keep_port_open(cluster, &grant, port, &token, &args).await
        }
    }
}

/// A token for the grant, on a line of its own.
pub async fn token(cluster: &Cluster, args: TokenArgs) -> anyhow::Result<String> {
    let grant = find_open(cluster, &args.grant).await?;
    let key = SessionKey::make()?;
    let now = clock::now();
    let certificate = obtain(cluster, &grant, &key, now).await?;
    let until = match &args.duration {
        None => grant.expires_at,
        Some(text) => {
            let seconds = crds::minutes(text)?.seconds();
            now.saturating_add(SignedDuration::from_secs(i64::from(seconds)))?
        }
    };
    Ok(password_token(&grant.uid, &key, &certificate, now, until)? + "\n")
}

async fn run_client(
    cluster: &Cluster,
    grant: &OpenGrant,
    key: SessionKey,
    certificate: SessionCertificate,
    args: &[OsString],
) -> anyhow::Result<ExitCode> {
    let tls = ProxyTls::new(&grant.proxy, &key, certificate)?;
    let socket = PrivateSocket::listen_in(&private_parent(), &std::env::temp_dir())?;
    let program = Program::find(&std::env::var_os("PATH").unwrap_or_default()).await?;
    // The terminal sends Ctrl-C to the client as well, which stops its statement with it. We stay.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot wait for signals")?;
    let mut client = program.start(socket.path(), &grant.user, grant.schema.as_deref(), args)?;
    let serving = socket.serve(Forward::to(cluster, &grant.proxy), tls);
    let ending = ended(cluster, &grant.name);
    tokio::pin!(serving, ending);
    let mut over = false;
    let status = loop {
        tokio::select! {
            status = client.wait() => break status.context("cannot wait for the client")?,
            reason = &mut ending, if !over => {
                over = true;
                tell(&farewell(grant, &reason));
            }
            error = &mut serving => return Err(error).context("the private socket failed"),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => client.start_kill().context("cannot stop the client")?,
            _ = hang_up.recv() => client.start_kill().context("cannot stop the client")?,
        }
    };
    // A client that was cut ends before the news of the end has come; a moment is enough to say why.
    if !over
        && !status.success()
        && let Ok(reason) = tokio::time::timeout(Duration::from_millis(500), ending).await
    {
        tell(&farewell(grant, &reason));
    }
    Ok(exit_code(status))
}

async fn keep_port_open(
    cluster: &Cluster,
    grant: &OpenGrant,
    port: OpenPort,
    token: &str,
    args: &ConnectArgs,
) -> anyhow::Result<ExitCode> {
    let folder = PrivateFolder::make_in(&private_parent())?;
    let ca = folder.put("proxy-ca.crt", &grant.proxy.ca_pem)?;
    let file = OptionFile { address: port.address(), user: &grant.user, ca: &ca };
    let option_file = folder.put("client.cnf", &file.text(token))?;
    let token_file = folder.put("token", token)?;
    let shown = args.show_token.then_some(token);
    let told = Told { grant, file: &file, option_file: &option_file, token_file: &token_file, token: shown };
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot wait for signals")?;
    crate::print(&told.told(args.output))?;
    tokio::select! {
        error = port.serve(Forward::to(cluster, &grant.proxy)) => Err(error).context("the port failed"),
        reason = ended(cluster, &grant.name) => {
            tell(&farewell(grant, &reason));
            Ok(ExitCode::SUCCESS)
        }
        _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        _ = hang_up.recv() => Ok(ExitCode::SUCCESS),
    }
}

/// Waits until nobody can connect any more, and says why. While that can't be known, it asks again.
async fn ended(cluster: &Cluster, grant: &str) -> String {
    let grants = cluster.api::<AccessGrant>();
    loop {
        match wait(&grants, grant, Patience::silent(Duration::MAX), end_reason).await {
            Ok(Waited::Seen(reason)) => return reason,
            Ok(Waited::Gone) => return "Deleted".to_owned(),
            Ok(Waited::TimedOut) | Err(_) => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

fn farewell(grant: &OpenGrant, reason: &str) -> String {
    let sentence = access::EndReason::from_word(reason).map_or(reason, |known| known.sentence());
    format!("keyhole: {}: {sentence}", grant.name)
}

/// The folder that the login session gave the person, or else the one for temporary files.
fn private_parent() -> PathBuf {
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    given.filter(|folder| folder.is_absolute() && Path::is_dir(folder)).unwrap_or_else(std::env::temp_dir)
}

/// As a shell reports it: the client's own code, or 128 and the signal that ended it.
fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
