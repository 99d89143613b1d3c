//! Promise 9: who takes a part over can't write to the database, nor take the credential.
//!
//! Here: the cluster's administrator at a proxy, another user at the signer, the operator's own account in Kubernetes and
//! in Vault. A taken-over client is promise 3.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use harness::wait::{Look, until};
use harness::{Cluster, OpenGrant, Person, Shell};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::Api;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};
use serde_json::{Value, json};

/// Name of the grant's pod, and of everything else that is the grant's in the proxies namespace.
async fn child(cluster: &Cluster, grant: &OpenGrant) -> anyhow::Result<String> {
    let status = cluster.grant(&grant.name).await?.status.context("a grant without status")?;
    status.pod.context("a grant without pod")
}

#[tokio::test]
async fn nobody_enters_a_proxy_or_takes_what_is_its_own() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("entered").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let child = child(&cluster, &grant).await?;
            let account = format!("{}.{}", cluster.namespace, orders.name);
            let (pod, proxies) = (format!("pod/{child}"), cluster.bed.proxies.clone());
            let admin = |args: &[&str]| cluster.bed.kubectl().args(["-n", &proxies]).args(args);
            let other = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "other:1"}]);
            let status = format!("/api/v1/namespaces/{proxies}/pods/{child}:7445/proxy/");
            let theirs = "belongs to the operator";
            for (args, why) in [
                (vec!["exec", &pod, "--", "/keyhole-proxy"], "nobody enters a proxy"),
                (vec!["attach", &pod], "nobody enters a proxy"),
                (
                    vec!["debug", &pod, "--profile=restricted", "--image=x", "--", "x"],
                    "nobody enters a proxy",
                ),
                (vec!["get", "--raw", &status], "nobody enters a proxy"),
                (vec!["create", "token", &account, "--audience=vault"], "only the node of a proxy"),
                (vec!["create", "token", &account], "only the node of a proxy"),
                (vec!["run", "intruder", "--image=keyhole.test/ktool:1"], "is forbidden"),
                (
                    vec!["patch", &pod, "--type=json", "-p", &other.to_string()],
                    "only the operator writes pods",
                ),
                (vec!["patch", "secret", &child, "-p", r#"{"data": {"grant.json": "e30="}}"#], theirs),
                (
                    vec![
                        "patch",
                        "serviceaccount",
                        &account,
                        "-p",
                        r#"{"metadata": {"labels": {"a": "b"}}}"#,
                    ],
                    theirs,
                ),
                (vec!["delete", "networkpolicy", &child], theirs),
                (vec!["delete", "secret", &child], theirs),
                (vec!["create", "rolebinding", "mine", "--clusterrole=admin", "--user=stranger"], theirs),
            ] {
                admin(&args).is_refused(why).await?;
            }
            for person in [&requester, &approver] {
                let kubectl = |args: &[&str]| person.kubectl().args(["-n", &proxies]).args(args);
                kubectl(&["get", "secret", &child]).is_refused("forbidden").await?;
                kubectl(&["exec", &pod, "--", "/keyhole-proxy"]).is_refused("forbidden").await?;
                kubectl(&["create", "token", &account]).is_refused("forbidden").await?;
                has_no_right_there(person, &proxies).await?;
            }
            asking_for_sessions_is_no_right_to_ask_other_signers(&cluster, &requester).await?;
            // The proxy is as it was.
            requester.reads(&grant, "SELECT 1").await?;
            a_certificate_for_anothers_grant_is_denied(&cluster, &grant, &requester).await
        })
        .await
}

/// Admission says "forbidden", too; RBAC alone must hold as well.
async fn has_no_right_there(person: &Person, namespace: &str) -> anyhow::Result<()> {
    for (verb, what) in [
        ("get", "pods"),
        ("get", "pods/exec"),
        ("create", "pods/exec"),
        ("create", "pods/attach"),
        ("patch", "pods/ephemeralcontainers"),
        ("get", "secrets"),
        ("create", "serviceaccounts/token"),
    ] {
        person.kubectl().args(["-n", namespace, "auth", "can-i", verb, what]).is_refused("no").await?;
    }
    Ok(())
}

/// Who may ask for session certificates may neither see what others ask for, nor ask another signer of the cluster.
async fn asking_for_sessions_is_no_right_to_ask_other_signers(
    cluster: &Cluster,
    requester: &Person,
) -> anyhow::Result<()> {
    for verb in ["list", "watch", "delete", "update"] {
        let may = ["auth", "can-i", verb, "certificatesigningrequests"];
        requester.kubectl().args(may).is_refused("no").await?;
    }
    let pem = CertificateParams::default().serialize_request(&KeyPair::generate()?)?.pem()?;
    let asked = json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": format!("{}-other-signer", cluster.namespace)},
        "spec": {
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
            "request": ByteString(pem.into_bytes()),
        },
    });
    requester.cannot_apply(&asked, "is for spec.signerName access.keyhole.dev/session only").await?;
    // Without the chart's own right there is none at all.
    let nobody = ["auth", "can-i", "create", "certificatesigningrequests"];
    let account = "system:serviceaccount:default:default";
    cluster.kubectl().args(nobody).args(["--as", account]).is_refused("no").await.map(drop)
}

/// The API server stamps who asks; whatever the request itself says counts for nothing.
async fn a_certificate_for_anothers_grant_is_denied(
    cluster: &Cluster,
    grant: &OpenGrant,
    requester: &Person,
) -> anyhow::Result<()> {
    let uid = cluster.grant(&grant.name).await?.metadata.uid.context("a grant without uid")?;
    let stranger = cluster.stranger().await?;
    ensure!(
        asks_for_certificate(cluster, &stranger, grant, &uid).await?.is_none(),
        "a stranger got a certificate"
    );
    ensure!(
        asks_for_certificate(cluster, requester, grant, "0b9a2f0e-6e0f-4f0e-9d53-1f0e7d6c5b4a")
            .await?
            .is_none(),
        "the requester got a certificate for a grant that is not there"
    );
    ensure!(
        asks_for_certificate(cluster, requester, grant, &uid).await?.is_some(),
        "the requester got no certificate for their own grant"
    );
    Ok(())
}

/// Asks the session signer; nobody may approve or sign for themselves. Answers the certificate, or none when it was denied.
async fn asks_for_certificate(
    cluster: &Cluster,
    person: &Person,
    grant: &OpenGrant,
    uid: &str,
) -> anyhow::Result<Option<Vec<u8>>> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(format!("keyhole://session/{uid}").as_str().try_into()?)];
    let pem = params.serialize_request(&KeyPair::generate()?)?.pem()?;
    let name = format!("{}-{}-{}", cluster.namespace, person.name, uid.get(..8).unwrap_or_default());
    let asked = json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {
            "name": name,
            "annotations": {"access.keyhole.dev/grant": format!("{}/{}", cluster.namespace, grant.name)},
        },
        "spec": {
            "signerName": "access.keyhole.dev/session",
            "usages": ["digital signature", "client auth"],
            "request": ByteString(pem.into_bytes()),
        },
    });
    person.kubectl().args(["create", "-f", "-"]).input(asked.to_string()).succeeds().await?;
    for part in ["approval", "status"] {
        let may = ["auth", "can-i", "update", "certificatesigningrequests", "--subresource", part];
        person.kubectl().args(may).is_refused("no").await?;
    }
    let api: Api<CertificateSigningRequest> = Api::all(cluster.client.clone());
    until("an answer to the signing request", Duration::from_secs(30), || async {
        let status = api.get(&name).await?.status.unwrap_or_default();
        let denied = status.conditions.iter().flatten().any(|c| c.type_ == "Denied" || c.type_ == "Failed");
        Ok(match status.certificate {
            Some(_) if denied => bail!("{name} was denied and signed"),
            Some(ByteString(pem)) => Look::Found(Some(pem)),
            None if denied => Look::Found(None),
            None => Look::NotYet(format!("{:?}", status.conditions)),
        })
    })
    .await
}

#[tokio::test]
async fn the_operators_account_opens_nothing_by_itself() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("operator").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let child = child(&cluster, &grant).await?;
            in_kubernetes(&cluster, &child, &orders.request("own", "30m")).await?;
            in_vault(&cluster, &orders.vault_role(), &grant).await
        })
        .await
}

async fn in_kubernetes(cluster: &Cluster, child: &str, request: &Value) -> anyhow::Result<()> {
    let (team, proxies) = (cluster.namespace.as_str(), cluster.bed.proxies.as_str());
    let operator = format!("--as={}", cluster.bed.operator_user());
    let kubectl = |args: &[&str]| cluster.bed.kubectl().arg(&operator).args(args);
    let pod = format!("pod/{child}");
    let account = format!("{team}.orders");
    for args in [
        vec!["-n", team, "get", "secret", "orders-admin"],
        vec!["-n", "vault", "get", "secrets"],
        vec!["-n", proxies, "exec", &pod, "--", "/keyhole-proxy"],
        vec!["-n", proxies, "attach", &pod],
        vec!["-n", proxies, "create", "token", &account, "--audience=vault"],
        vec!["-n", proxies, "run", "intruder", "--image=keyhole.test/ktool:1"],
        vec!["-n", team, "run", "intruder", "--image=keyhole.test/ktool:1"],
        vec!["-n", team, "delete", "networkpolicy", "lockdown"],
        vec!["delete", "validatingadmissionpolicy/requests.access.keyhole.dev"],
        vec!["delete", "validatingadmissionpolicybindings", "--all"],
        vec!["create", "clusterrolebinding", "mine", "--clusterrole=cluster-admin", "--user=stranger"],
        vec![
            "-n",
            proxies,
            "create",
            "rolebinding",
            "mine",
            "--clusterrole=cluster-admin",
            "--user=stranger",
        ],
        vec!["-n", proxies, "create", "role", "mine", "--verb=create", "--resource=pods/exec"],
    ] {
        kubectl(&args).is_refused("forbidden").await.with_context(|| args.join(" "))?;
    }
    kubectl(&["create", "-f", "-"]).input(request.to_string()).is_refused("forbidden").await?;
    Ok(())
}

/// The operator may list a role's leases, end one and see that it is gone. It can't read a credential, make a token or change a role.
async fn in_vault(cluster: &Cluster, role: &str, grant: &OpenGrant) -> anyhow::Result<()> {
    let bed = &cluster.bed;
    let create = ["create", "token", "keyhole-operator", "--audience=vault"];
    let by_hand = || bed.kubectl().args(["-n", &bed.system]).args(create);
    by_hand().is_refused("only the node of an operator's pod").await?;
    // As its node: whoever has that has the operator.
    let pods = [
        "get",
        "pods",
        "-l",
        "app.kubernetes.io/component=operator",
        "-o",
        "jsonpath={.items[0].metadata.name} {.items[0].metadata.uid}",
    ];
    let pod = bed.kubectl().args(["-n", &bed.system]).args(pods).succeeds().await?;
    let (pod, uid) = pod.trim().split_once(' ').context("no pod of the operator")?;
    let bound = ["--bound-object-kind=Pod", "--bound-object-name", pod, "--bound-object-uid", uid];
    let node = ["--as=system:node:keyhole-node", "--as-group=system:nodes"];
    let jwt = by_hand().args(bound).args(node).succeeds().await?;
    let login = |role: &str| {
        let body = json!({"role": role, "jwt": jwt.trim()}).to_string();
        bed.bao().args(["write", "-format=json", "auth/kubernetes/login", "-"]).input(body)
    };
    let database = format!("keyhole.{}.orders", cluster.namespace);
    login(&database).is_refused("not authorized").await?;
    let told: Value = serde_json::from_str(&login("keyhole-operator").succeeds().await?)?;
    let token = told["auth"]["client_token"].as_str().context("a login without token")?.to_owned();
    let bao = |args: &[&str]| -> Shell { bed.bao().env("VAULT_TOKEN", &token).args(args) };

    let credentials = format!("database/creds/{role}");
    let (role, connection) = (format!("database/roles/{role}"), format!("{}.orders", cluster.namespace));
    let (config, token_role) =
        (format!("database/config/{connection}"), format!("auth/token/create/{database}"));
    let listed = format!("sys/leases/lookup/{credentials}");
    for args in [
        vec!["read", &credentials],
        vec!["read", &config],
        vec!["read", &role],
        vec!["write", &role, "creation_statements=GRANT ALL ON *.* TO '{{name}}'@'%'"],
        vec!["write", "-f", "auth/token/create"],
        vec!["write", "-f", &token_role],
        vec!["list", "sys/leases/lookup/auth/kubernetes/login"],
        vec!["write", "sys/leases/lookup", "lease_id=auth/kubernetes/login/x"],
        vec!["write", "-f", "sys/leases/revoke-prefix/database/creds"],
        vec!["write", "auth/kubernetes/role/keyhole-operator", "policies=root"],
        vec!["write", "sys/policies/acl/keyhole.operator", "policy=path \"*\" {capabilities = [\"sudo\"]}"],
    ] {
        bao(&args).is_refused("permission denied").await?;
    }
    // The same token does what it is for, so the refusals above are about what it asked.
    let leases = cluster.grant(&grant.name).await?.status.unwrap_or_default().leases;
    let lease = leases.into_iter().find_map(|lease| lease.lease_id).context("a grant without lease")?;
    let lease = format!("lease_id={lease}");
    bao(&["list", &listed]).succeeds().await?;
    bao(&["write", "sys/leases/lookup", &lease]).succeeds().await.map(drop)
}
