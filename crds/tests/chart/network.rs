//! Where Vault and the cluster's DNS are, and how they are called.

use serde_json::json;

use super::{Outcome, config, refusal};

#[test]
fn a_namespace_of_vault_reaches_the_operator_and_none_is_no_key_at_all() -> Outcome {
    assert_eq!(config(&["--set=vault.namespace=admin/data"])?["vault"]["namespace"], json!("admin/data"));
    assert_eq!(config(&[])?["vault"].get("namespace"), None);
    for bad in ["/admin", "admin/", "a b", "a//b"] {
        assert!(refusal(&[&format!("--set=vault.namespace={bad}")])?.contains("/vault/namespace"), "{bad}");
    }
    Ok(())
}
