//! Whether the events of each stream arrived in order.
//!
//! What counts is the first time each event was accepted, per path and stream: repeats are no news, and an attempt that
//! was refused did not happen for the receiver. Gaps are told apart from inversions, because an endpoint that does not
//! subscribe to every type of event has gaps by right.

use std::collections::{HashMap, HashSet};

use crate::receiver::received::{Received, Verdict};

/// Where the order of events was not one by one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderReport {
    /// A sequence that is not above all earlier ones.
    pub inversions: Vec<OrderFault>,
    /// A sequence that skips some.
    pub gaps: Vec<OrderFault>,
}

/// An event that did not follow the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFault {
    pub path: String,
    pub stream: String,
    pub id: String,
    /// The highest sequence until then.
    pub previous: u64,
    pub sequence: u64,
}

/// Judges requests in the order they came. Those without id, stream or sequence, and invalid ones, are passed over.
pub(crate) fn report<'a>(received: impl IntoIterator<Item = &'a Received>) -> OrderReport {
    let mut report = OrderReport::default();
    let mut seen: HashSet<(&str, &str)> = HashSet::new();
    let mut highest: HashMap<(&str, &str), u64> = HashMap::new();
    for request in received {
        let (Some(id), Some(stream), Some(sequence)) = (&request.id, &request.stream, request.sequence) else {
            continue;
        };
        let counts = request.succeeded() && !matches!(request.verdict, Verdict::Invalid(_));
        if !counts || !seen.insert((&request.path, id)) {
            continue;
        }
        let Some(previous) = highest.insert((&request.path, stream), sequence) else {
            continue;
        };
        let fault =
            || OrderFault { path: request.path.clone(), stream: stream.clone(), id: id.clone(), previous, sequence };
        if sequence <= previous {
            highest.insert((&request.path, stream), previous);
            report.inversions.push(fault());
        } else if sequence - previous > 1 {
            report.gaps.push(fault());
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn request(path: &str, stream: &str, id: &str, sequence: u64, answered: u16) -> Received {
        Received {
            at: clock::now(),
            path: path.to_owned(),
            query: String::new(),
            headers: Vec::new(),
            id: Some(id.to_owned()),
            attempt: Some(1),
            event_type: None,
            stream: Some(stream.to_owned()),
            sequence: Some(sequence),
            body: Vec::new(),
            verdict: Verdict::Verified,
            answered,
        }
    }

    fn found(faults: &[OrderFault]) -> Vec<(&str, u64, u64)> {
        faults.iter().map(|fault| (fault.id.as_str(), fault.previous, fault.sequence)).collect()
    }

    #[test]
    fn streams_and_paths_are_independent_and_repeats_are_no_news() {
        let requests = [
            request("/a", "user:1", "e1", 4, 200),
            request("/a", "user:2", "e2", 1, 200),
            request("/b", "user:1", "e1", 4, 204),
            request("/a", "user:1", "e3", 5, 500),
            request("/a", "user:1", "e1", 4, 200),
            request("/a", "user:1", "e3", 5, 200),
        ];
        assert_eq!(report(&requests), OrderReport::default());
    }

    #[test]
    fn inversions_and_gaps_are_told_apart() {
        let requests = [
            request("/a", "s", "e1", 1, 200),
            request("/a", "s", "e2", 2, 503),
            request("/a", "s", "e3", 3, 200),
            request("/a", "s", "e2", 2, 200),
            request("/a", "s", "e4", 4, 200),
        ];
        let report = report(&requests);
        assert_eq!(found(&report.gaps), [("e3", 1, 3)]);
        assert_eq!(found(&report.inversions), [("e2", 3, 2)]);
    }

    #[test]
    fn what_is_invalid_or_incomplete_is_passed_over() {
        let mut forged = request("/a", "s", "e9", 9, 200);
        forged.verdict = Verdict::Invalid(crate::receiver::Invalid::WrongSignature);
        let mut bare = request("/a", "s", "e8", 8, 200);
        bare.stream = None;
        let requests = [request("/a", "s", "e1", 1, 200), forged, bare, request("/a", "s", "e2", 2, 200)];
        assert_eq!(report(&requests), OrderReport::default());
    }
}
