//! Who brings requests and approvals for others: trusted by name, from somewhere else, with evidence of different people.

use super::*;

#[test]
fn an_approval_brought_for_another_needs_trust_and_evidence_of_two_people() {
    let spec =
        |submitter: &str| json!({"spec": {"submittedBy": submitter, "evidence": evidence("one", "two")}});
    does_not_count(&approved_with(spec("stranger")), "may not approve for others");
    does_not_count(&approved_with(json!({"spec": {"submittedBy": "robot"}})), "without evidence");
    let same = json!({"spec": {"submittedBy": "robot", "evidence": evidence("one", "one")}});
    does_not_count(&approved_with(same), "without evidence");
    granted(&approved_with(spec("robot")));
}

#[test]
fn a_request_brought_for_another_needs_trust_and_evidence_of_two_people() {
    let brought = |submitter: &str, evidence: Value| {
        let mut world = world();
        world.request = request(json!({"spec": {"submittedBy": submitter, "evidence": evidence}}));
        world
    };
    refused(&brought("stranger", evidence("one", "two")), "SubmitterNotTrusted");
    refused(&brought("robot", Value::Null), "EvidenceMissing");
    refused(&brought("robot", evidence("one", "one")), "EvidenceMissing");
    refused(&brought("robot", evidence("one", "two")), "WaitingForApproval");
}

#[test]
fn one_submitter_brings_request_and_approval_only_where_the_rule_says_so() {
    let brought = |submitter: &str| {
        let mut world = world();
        let spec = json!({"spec": {"submittedBy": submitter, "evidence": evidence("one", "two")}});
        world.request = request(spec.clone());
        world.approvals = vec![approval(&world, spec)];
        world
    };
    does_not_count(&brought("robot"), "brought the request too");
    granted(&brought("both"));
}

#[test]
fn the_submitter_of_a_request_for_another_does_not_approve_it() {
    let mut world = world();
    world.request = request(json!({"spec": {"submittedBy": "robot", "evidence": evidence("one", "two")}}));
    world.policy.as_mut().unwrap().spec.rules[0]
        .approvals
        .as_mut()
        .unwrap()
        .approvers
        .users
        .push("robot".into());
    world.approvals = vec![approval(&world, json!({"spec": {"approver": "robot", "submittedBy": "robot"}}))];
    does_not_count(&world, "submitted the request");
}

/// A request of the requester's, brought by this submitter under a rule that trusts it with everything.
fn brought_by(submitter: &str) -> Observed {
    let mut world = world();
    let rule = &mut world.policy.as_mut().unwrap().spec.rules[0];
    rule.on_behalf_by.push(crds::OnBehalfBy { user: submitter.into(), both: true });
    world.request = request(json!({"spec": {"submittedBy": submitter, "evidence": evidence("one", "two")}}));
    world
}

#[test]
fn a_service_account_of_the_teams_own_namespace_brings_nothing_for_others() {
    let own = "system:serviceaccount:shop:flux";
    refused(&brought_by(own), "SubmitterInTeamNamespace");
    refused(&brought_by("system:serviceaccount:shops:flux"), "WaitingForApproval");
    let mut world = world();
    let rule = &mut world.policy.as_mut().unwrap().spec.rules[0];
    rule.on_behalf_by.push(crds::OnBehalfBy { user: own.into(), both: true });
    let brought = json!({"spec": {"submittedBy": own, "evidence": evidence("one", "two")}});
    world.approvals = vec![approval(&world, brought)];
    does_not_count(&world, "service account of this namespace");
}

#[test]
fn who_wrote_the_request_in_git_does_not_review_its_approval() {
    let mut world = brought_by("git");
    let details = plan(&world, now()).status.details;
    let evidence_is_shown = details
        .iter()
        .any(|line| line.starts_with("evidence: ") && line.ends_with("written by one, reviewed by two"));
    assert!(evidence_is_shown, "{details:#?}");
    let brought = |reviewer: &str| json!({"spec": {"submittedBy": "git", "evidence": evidence("approver-in-git", reviewer)}});
    world.approvals = vec![approval(&world, brought("ONE"))];
    does_not_count(&world, "wrote the request there");
    world.approvals = vec![approval(&world, brought("two"))];
    granted(&world);
}

#[test]
fn approvals_brought_for_two_people_were_reviewed_by_two() {
    let mut world = world();
    let rule = &mut world.policy.as_mut().unwrap().spec.rules[0];
    rule.approvals.as_mut().unwrap().required = 2;
    let brought = |name: &str, approver: &str, reviewer: &str| {
        json!({
            "metadata": {"name": name, "uid": name},
            "spec": {"approver": approver, "submittedBy": "robot", "evidence": evidence("one", reviewer)}
        })
    };
    let first = approval(&world, brought("a", "approver", "two"));
    let same = approval(&world, brought("b", "second", "Two"));
    let other = approval(&world, brought("c", "second", "three"));
    world.approvals = vec![first.clone(), same];
    refused(&world, "WaitingForApproval");
    let said = plan(&world, now()).status.seen[1].why_not.clone().unwrap();
    assert!(said.contains("reviewed another approval"), "{said}");
    world.approvals = vec![first, other];
    granted(&world);
}

#[test]
fn under_a_rule_of_two_one_submitter_brings_no_request_and_approvals_of_it() {
    let mut world = brought_by("git");
    let rule = &mut world.policy.as_mut().unwrap().spec.rules[0];
    rule.approvals.as_mut().unwrap().required = 2;
    let brought = json!({"spec": {"submittedBy": "git", "evidence": evidence("two", "three")}});
    world.approvals = vec![approval(&world, brought)];
    does_not_count(&world, "for one approval");
}

#[test]
fn a_service_account_approves_where_it_is_named_and_not_as_one_of_a_group() {
    let (account, of_team) = ("system:serviceaccount:tools:bot", "system:serviceaccount:shop:bot");
    let approves =
        |account: &str| json!({"spec": {"approver": account, "submittedBy": account, "groups": ["leads"]}});
    does_not_count(&approved_with(approves(account)), "names neither");
    let named = |account: &str| {
        let mut world = world();
        let rule = &mut world.policy.as_mut().unwrap().spec.rules[0];
        rule.approvals.as_mut().unwrap().approvers.users.push(account.into());
        world.approvals = vec![approval(&world, approves(account))];
        world
    };
    granted(&named(account));
    does_not_count(&named(of_team), "whoever may edit here can be it");
}
