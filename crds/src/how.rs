//! How an item of a receipt is known, in one word each. The words are part of the API; the sentence beside them is for people.

use crate::words::words;

words! {
    /// How an item of a receipt is known, as it stands in `reason` of a line of `status.receipt`.
    How
    ProxySaw "The proxy saw it itself; the detail is its own."
    NeverOpened "No proxy of the grant was ever let on to a credential, so there was nothing to shut."
    ProcessEnded "The node said that the proxy's process has ended, and its sockets with it."
    NobodySaw "The pod's object went without anybody seeing its process end: by force, or because its node was removed."
    ProxyLeftNoProof "The proxy went without a proof of its own, and its lease may still stand."
    LeftToVault "The proxy went without a proof of its own; its lease is gone, whose revocation ends the user's sessions and drops the user."
    PodRuns "The proxy pod is still there."
    PodGone "The API server has no such pod any more."
    PodUnread "The proxy pod cannot be read."
    LeaseAsked "Vault was not asked yet, or has not answered."
    LeaseStands "Vault could not end it yet; the detail says why, and what to do."
    LeaseGone "Vault knows it no more, and lists none of its role that no grant has on record."
    LeaseUnseen "It is gone by its id and its token revoked; nobody can see whether that token owned others."
    RulesGone "NetworkPolicy, Role, RoleBinding and Secret are gone."
    RulesStand "NetworkPolicy, Role, RoleBinding or Secret are still there, or cannot be read."
    RecordWhole "The audit log has every record that the proxy wrote: count and last hash are the same."
    RecordShort "The proxy ended before the log had acknowledged its last records, and the log does not have them all: nobody can bring them any more, so this is not open."
    RecordUncounted "The proxy went without last words: what the log has of it is told, and not whether that is all."
    RecordNone "The proxy was of a release that wrote to no audit log."
    RecordDiffers "The log does not have what it had acknowledged to the proxy, or has something else."
    RecordGone "The log that the proxy's records went into is gone, and another one has its place; the detail names both."
    RecordAsked "The audit log was not asked yet, does not answer, or does not know yet."
    GivenUp "A person with the verb `abandon` gave it up; the detail says who and why."
}
