//! Truthful groups: a person can't leave out a group, or make one up, to reach a laxer rule.
//!
//! Only for who speaks for themselves: of a request that is submitted for somebody else, the API server doesn't know the
//! person's groups, and `spec.groups` is the submitter's word; a rule trusts it by naming the submitter in `onBehalfBy`.
//!
//! A namespace without any `AccessPolicy` takes no requests and no approvals: what they say about groups would be
//! unchecked when a policy comes. For the same reason `spec.groups` of a policy never changes (the schema holds that), and
//! a request or approval older than its policy does not count (the operator holds that).

use super::draft::{Draft, OURS};

pub(super) fn truthful() -> Draft {
    Draft::new("groups")
        .on(OURS, &["accessrequests", "accessapprovals"], &["CREATE"])
        .for_each_access_policy()
        .variable(
            "themselves",
            "variables.caller == (request.resource.resource == 'accessrequests' ? \
             dyn(object).spec.user : dyn(object).spec.approver)",
        )
        .variable("said", "object.spec.?groups.orValue([])")
        .variable("actual", "has(request.userInfo.groups) ? request.userInfo.groups : []")
        .variable(
            "missing",
            "params.spec.?groups.orValue([]).filter(g, g in variables.actual && !(g in variables.said))",
        )
        .variable(
            "untrue",
            "params.spec.?groups.orValue([]).filter(g, !(g in variables.actual) && g in variables.said)",
        )
        .check_saying(
            "!variables.themselves || variables.missing.size() == 0",
            "spec.groups must name each group of this namespace's policies that you are in",
            "'you are in ' + variables.missing.join(', ') + ': add to spec.groups'",
        )
        .check_saying(
            "!variables.themselves || variables.untrue.size() == 0",
            "spec.groups must not name a group that you are not in",
            "'you are not in ' + variables.untrue.join(', ') + ': remove from spec.groups'",
        )
}
