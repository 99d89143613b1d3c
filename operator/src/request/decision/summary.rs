//! What would be granted, in one sentence; every line of it stands beside it. Pure.

use access::Terms;

/// The sentence.
pub fn summary(terms: &Terms) -> String {
    let Terms { request, reason, minutes, target, peer: _, rule: _, limits: _ } = terms;
    let (minutes, name) = (minutes.get(), &target.name);
    format!("{} reads {}/{name} for {minutes} min: {reason}", request.user, target.namespace)
}
