//! The texts of Vault's policies. Each opens single paths; none has a wildcard in a path but the list of a role's leases.

use super::VaultName;

/// What the token that owns the lease may do: read this role's credentials, and end what it read.
pub fn lease_policy(credentials_path: &VaultName) -> String {
    [
        path(&format!("{credentials_path}"), "read", &[]),
        end_leases(&[format!("{credentials_path}/*")]),
        own_token(),
    ]
    .concat()
}

/// What the login token may do: make the one kind of token that owns leases of this database.
pub fn login_policy(token_role: &str) -> String {
    [path(&format!("auth/token/create/{token_role}"), "update", &[]), own_token()].concat()
}

/// What the operator may do: see which leases a role has and whether one is gone, end it, and end the token that owns it. Nothing else.
pub fn operator_policy(mounts: &[VaultName]) -> String {
    let leases: Vec<String> = mounts.iter().map(|mount| format!("{mount}/creds/*")).collect();
    // Vault wants `sudo` for lists of leases. They hold ids, which open nothing. `+` stands for one role.
    let lists: String =
        mounts.iter().map(|mount| list(&format!("sys/leases/lookup/{mount}/creds/+/"))).collect();
    [end_leases(&leases), lists, path("auth/token/revoke-accessor", "update", &[])].concat()
}

fn list(path: &str) -> String {
    format!("path \"{path}\" {{\n  capabilities = [\"list\", \"sudo\"]\n}}\n")
}

fn end_leases(leases: &[String]) -> String {
    let quoted: Vec<String> = leases.iter().map(|lease| format!("\"{lease}\"")).collect();
    let lease_id = format!("\"lease_id\" = [{}]", quoted.join(", "));
    [
        path("sys/leases/lookup", "update", std::slice::from_ref(&lease_id)),
        path("sys/leases/revoke", "update", &[lease_id, "\"sync\" = []".to_owned()]),
    ]
    .concat()
}

fn own_token() -> String {
    [path("auth/token/lookup-self", "read", &[]), path("auth/token/revoke-self", "update", &[])].concat()
}

/// One block. Without a parameter named here, Vault refuses the call.
fn path(path: &str, capability: &str, allowed_parameters: &[String]) -> String {
    let mut text = format!("path \"{path}\" {{\n  capabilities = [\"{capability}\"]\n");
    if !allowed_parameters.is_empty() {
        text.push_str("  allowed_parameters = {\n");
        for parameter in allowed_parameters {
            text.push_str(&format!("    {parameter}\n"));
        }
        text.push_str("  }\n");
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_can_neither_read_credentials_nor_write_roles() {
        let text = operator_policy(&["database".parse().unwrap(), "db/prod".parse().unwrap()]);
        let paths: Vec<&str> = text.lines().filter(|line| line.starts_with("path")).collect();
        assert_eq!(
            paths,
            [
                "path \"sys/leases/lookup\" {",
                "path \"sys/leases/revoke\" {",
                "path \"sys/leases/lookup/database/creds/+/\" {",
                "path \"sys/leases/lookup/db/prod/creds/+/\" {",
                "path \"auth/token/revoke-accessor\" {"
            ]
        );
        assert!(text.contains(r#""lease_id" = ["database/creds/*", "db/prod/creds/*"]"#), "{text}");
    }

    #[test]
    fn the_lease_policy_ends_leases_of_its_own_role_only() {
        let text = lease_policy(&"database/creds/orders-read".parse().unwrap());
        assert_eq!(text.matches(r#""lease_id" = ["database/creds/orders-read/*"]"#).count(), 2);
        assert!(!text.contains("delete") && !text.contains("sudo"));
    }
}
