//! What `kubectl keyhole vault-setup` prints, run for real against OpenBao and MariaDB.
//!
//! MySQL's statements run on MariaDB here: it understands them, the procedure included.

// All of this is test, its helpers too, which clippy can't know.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod machine;

use std::time::Duration;

use machine::Machine;
use servers::until;

#[test]
fn the_policies_refuse_everything_but_their_purpose() -> anyhow::Result<()> {
    let machine = Machine::set_up("mariadb")?;
    let owner = machine.owner()?;
    let token = owner["client_token"].as_str().unwrap();
    let credential = machine.credential(&owner)?;
    let other = format!("lease_id={}", "database/creds/payroll-read/abc");

    for args in [
        &["read", "database/creds/payroll-read"][..],
        &["read", "database/config/shop.orders"],
        &["read", "database/roles/orders-read"],
        &["write", "database/roles/orders-read", "db_name=shop.orders"],
        &["list", "sys/leases/lookup/database/creds/orders-read"],
        &["write", "sys/leases/lookup", &other],
        &["write", "sys/leases/revoke", &other],
        &["write", "-f", "auth/token/create/keyhole.shop.orders"],
        &["write", "-f", "auth/token/create"],
        &["write", "-f", "auth/token/renew-self"],
    ] {
        assert!(machine.forbids(token, args), "the owner of a lease may {args:?}");
    }

    let login = machine.token("keyhole.shop.orders.login")?;
    for args in [
        &["read", "database/creds/orders-read"][..],
        &["write", "-f", "auth/token/create"],
        &["write", "-f", "auth/token/create/keyhole.shop.payroll"],
        &["write", "sys/leases/revoke", &format!("lease_id={}", credential.lease_id)],
    ] {
        assert!(machine.forbids(&login, args), "the login token may {args:?}");
    }
    // Asked for more, the token role gives no more.
    let wide = ["write", "auth/token/create/keyhole.shop.orders", "policies=root"];
    assert!(machine.bao(&login, &wide).is_err());
    Ok(())
}

#[test]
fn the_operator_lists_and_ends_leases_and_can_read_none() -> anyhow::Result<()> {
    let machine = Machine::set_up("mariadb")?;
    // Outside a cluster Vault can't be told about the API server; that part is there already.
    let ca = rcgen::generate_simple_self_signed(vec!["kubernetes".to_owned()])?.cert.pem();
    let config = [
        "kubernetes_host=https://127.0.0.1:1",
        "disable_local_ca_jwt=true",
        &format!("kubernetes_ca_cert={ca}"),
    ];
    machine.administrator(&[&["write", "auth/kubernetes/config"], &config[..]].concat())?;
    machine.runs(&machine.prints(&["--operator"])?)?;
    let kept = machine.administrator(&["read", "-field=kubernetes_host", "auth/kubernetes/config"])?;
    assert_eq!(kept, "https://127.0.0.1:1", "somebody's configuration was written over");
    let operator = machine.token("keyhole.operator")?;
    let owner = machine.owner()?;
    let credential = machine.credential(&owner)?;
    let lease = format!("lease_id={}", credential.lease_id);

    for args in [
        &["read", "database/creds/orders-read"][..],
        &["list", "sys/leases/lookup/database/creds"],
        &["list", "sys/leases/lookup/auth/kubernetes/login"],
        &["list", "sys/leases/lookup/auth/token/create"],
        &["read", "sys/leases"],
        &["write", "sys/leases/revoke", "lease_id=auth/kubernetes/login/x"],
        &["write", "-f", "sys/leases/revoke-prefix/database"],
        &["write", "-f", "auth/token/create/keyhole.shop.orders"],
        &["list", "auth/token/accessors"],
        &["read", "auth/kubernetes/role/keyhole.shop.orders"],
    ] {
        assert!(machine.forbids(&operator, args), "the operator may {args:?}");
    }

    let listed =
        machine.bao(&operator, &["list", "-format=json", "sys/leases/lookup/database/creds/orders-read"])?;
    let suffix = credential.lease_id.rsplit('/').next().unwrap();
    assert!(listed.contains(suffix), "{listed} does not name {suffix}");
    machine.bao(&operator, &["write", "sys/leases/lookup", &lease])?;
    machine.bao(&operator, &["write", "sys/leases/revoke", &lease, "sync=true"])?;
    assert!(machine.reads(&credential, "SELECT 1").is_err(), "the user is still there");

    let second = machine.credential(&owner)?;
    let accessor = format!("accessor={}", owner["accessor"].as_str().unwrap());
    machine.bao(&operator, &["write", "auth/token/revoke-accessor", &accessor])?;
    until("the second user is gone", Duration::from_secs(20), || {
        machine.reads(&second, "SELECT 1").is_err()
    })?;
    Ok(())
}

#[test]
fn a_user_reads_its_schema_and_nothing_beside_it() -> anyhow::Result<()> {
    let machine = Machine::set_up("mariadb")?;
    machine.runs(&machine.prints(&["-f", "database.yaml", "--admin-user", "vaultadmin"])?)?;
    let owner = machine.owner()?;
    assert_eq!(owner["orphan"], true);
    assert_eq!(owner["renewable"], false);
    assert_eq!(owner["lease_duration"], 600, "the token ends with the grant");
    assert_eq!(owner["policies"], serde_json::json!(["keyhole.shop.orders"]));

    let credential = machine.credential(&owner)?;
    assert!(credential.user.starts_with("v-kh-") && credential.user.len() <= 32, "{}", credential.user);
    assert_eq!(machine.reads(&credential, "SELECT id FROM my_shop.orders")?, "7");
    for sql in [
        "INSERT INTO my_shop.orders VALUES (8)",
        "CREATE TABLE my_shop.more (id INT)",
        "SELECT id FROM my1shop.secrets",
        "SELECT user FROM mysql.user",
    ] {
        assert!(machine.reads(&credential, sql).is_err(), "{sql}");
    }
    Ok(())
}

#[test]
fn revoking_a_lease_cuts_an_open_session_and_drops_the_user() -> anyhow::Result<()> {
    for engine in ["mariadb", "mysql"] {
        let machine = Machine::set_up(engine)?;
        let credential = machine.credential(&machine.owner()?)?;
        let mut session = machine.client(&credential, "SELECT SLEEP(600)").spawn()?;
        let sessions =
            format!("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{}'", credential.user);
        let count = |wanted: &str| machine.sql(&sessions).is_ok_and(|count| count == wanted);
        until("the session is open", Duration::from_secs(20), || count("1"))?;

        machine.administrator(&["lease", "revoke", "-sync", &credential.lease_id])?;

        until("the session is gone", Duration::from_secs(5), || count("0"))?;
        assert!(!session.wait()?.success(), "{engine}: the client heard of it");
        let users = machine.sql("SELECT user FROM mysql.user WHERE user LIKE 'v-kh-%'")?;
        assert_eq!(users, "", "{engine}");
    }
    Ok(())
}

const ORDERS: [&str; 4] = ["-f", "database.yaml", "--admin-user", "vaultadmin"];

#[test]
fn what_was_set_up_is_found_and_what_differs_is_told() -> anyhow::Result<()> {
    let machine = Machine::set_up("mariadb")?;
    let check = machine.prints(&[&ORDERS[..], &["--check"]].concat())?;
    assert!(machine.runs(&check)?.ends_with("All of it is in Vault, as it should be."));
    // A failing script answers what it said on standard error.
    let told = |args: &[&str]| -> anyhow::Result<String> {
        machine.administrator(args)?;
        let told = machine
            .runs(&format!("exec 1>&2\n{check}"))
            .map_or_else(|error| error.to_string(), |_| String::new());
        // One that others may use is not taken from them.
        machine.administrator(&["write", "database/config/shop.orders", "allowed_roles=orders-read"])?;
        machine.runs(&machine.prints(&ORDERS)?)?;
        machine.runs(&check)?;
        Ok(told)
    };
    let blind = machine.token("keyhole.shop.orders.login")?;
    let cannot = machine.runs(&format!("export BAO_TOKEN={blind} VAULT_TOKEN={blind}\n{check}"));
    assert!(
        cannot.is_err_and(|error| error.to_string().contains("403")),
        "it is not known, and so no difference"
    );
    for (change, differs) in [
        (&["policy", "delete", "keyhole.shop.orders"][..], "policy keyhole.shop.orders differs"),
        (
            &["delete", "auth/token/roles/keyhole.shop.orders"],
            "auth/token/roles/keyhole.shop.orders: orphan differs",
        ),
        (
            &["write", "auth/token/roles/keyhole.shop.orders", "allowed_policies=root"],
            "wanted: [keyhole.shop.orders]\n  found:  [root]",
        ),
        (
            &["write", "auth/token/roles/keyhole.shop.orders", "token_explicit_max_ttl=9h"],
            "token_explicit_max_ttl differs\n  wanted: 7200\n  found:  32400",
        ),
        (
            &["write", "auth/kubernetes/role/keyhole.shop.orders", "bound_service_account_names=*"],
            "bound_service_account_names differs",
        ),
        (
            &[
                "write",
                "database/roles/orders-read",
                "db_name=shop.orders",
                "creation_statements=GRANT ALL ON *.* TO x",
            ],
            "creation_statements differs",
        ),
        (&["write", "database/config/shop.orders", "allowed_roles=*"], "allowed_roles differs"),
        (
            &["write", "auth/token/roles/keyhole.shop.orders", "allowed_policies_glob=*"],
            "allowed_policies_glob differs\n  wanted: []\n  found:  [*]",
        ),
    ] {
        let told = told(change)?;
        assert!(told.contains(differs), "{change:?}: {told}");
    }
    Ok(())
}

#[test]
fn a_connection_of_others_is_left_as_it_is() -> anyhow::Result<()> {
    let machine = Machine::set_up("mariadb")?;
    let script = machine.prints(&[&ORDERS[..], &["--connection", "shared"]].concat())?;
    machine.runs(&script)?;
    // It may be run again.
    machine.runs(&script)?;
    machine.administrator(&["write", "database/config/shared", "allowed_roles=another"])?;
    let told = machine.runs(&script).map_or_else(|error| error.to_string(), |_| String::new());
    assert!(told.contains("others use this connection"), "{told}");
    let roles = machine.administrator(&["read", "-field=allowed_roles", "database/config/shared"])?;
    assert!(roles.contains("another"), "{roles}");
    Ok(())
}

#[test]
fn what_is_taken_away_takes_what_was_lent_with_it_and_nothing_of_others() -> anyhow::Result<()> {
    let machine = Machine::set_up("mariadb")?;
    machine.administrator(&["write", "auth/token/roles/somebodys", "orphan=true"])?;
    let credential = machine.credential(&machine.owner()?)?;
    // What others may use stays, and so does what it lent.
    machine.runs(&machine.prints(&[&ORDERS[..], &["--remove"]].concat())?)?;
    machine.administrator(&["read", "database/roles/orders-read"])?;
    machine.reads(&credential, "SELECT id FROM my_shop.orders")?;
    let remove = machine.prints(&[&ORDERS[..], &["--remove", "--with-role"]].concat())?;
    machine.runs(&remove)?;
    assert_eq!(
        machine.sql("SELECT user FROM mysql.user WHERE user LIKE 'v-kh-%'")?,
        "",
        "{}",
        credential.user
    );
    for path in [
        "auth/kubernetes/role/keyhole.shop.orders",
        "auth/token/roles/keyhole.shop.orders",
        "sys/policies/acl/keyhole.shop.orders",
        "sys/policies/acl/keyhole.shop.orders.login",
        "database/roles/orders-read",
        "database/config/shop.orders",
    ] {
        assert!(machine.administrator(&["read", path]).is_err(), "{path} is left");
    }
    machine.administrator(&["read", "auth/token/roles/somebodys"])?;
    assert!(machine.administrator(&["secrets", "list"])?.contains("database/"));
    machine.runs(&remove)?;
    // Another's connection stays.
    let without = machine.prints(&["-f", "database.yaml", "--remove", "--with-role"])?;
    assert!(!without.contains("database/config/"), "{without}");
    Ok(())
}
