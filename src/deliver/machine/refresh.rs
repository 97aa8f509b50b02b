//! Updates the machine from the tables after a command, and reports a pause or resume by an operator.

use lumo_bridge_entity::endpoint::{self, State};
use lumo_bridge_entity::operator_action::{self, Action as Deed};

use super::{Action, Breaker, Machine, Notice, Now};
use crate::store::delivery::Refreshed;

/// What stands for the latest pause or resume where there was none.
const NO_TURN: i64 = 0;

impl Machine {
    pub(super) fn refreshed(&mut self, refreshed: Option<Option<Refreshed>>, now: Now, actions: &mut Vec<Action>) {
        self.busy.refreshing = false;
        let Some(refreshed) = refreshed else {
            self.wants_refresh = true;
            return self.failed(now);
        };
        let Some(Refreshed { endpoint, position, touched, wanted, last_seq, operated, .. }) = refreshed else {
            self.is_over = true;
            return;
        };
        self.believes_times |= std::mem::take(&mut self.busy.correcting);
        self.is_acquainted = true;
        self.revision = position.revision;
        self.commits = position.commits;
        for seq in &touched {
            self.lanes.ended(None, *seq);
        }
        if position.position != self.position {
            self.hand.restart_at(position.position);
            self.position = position.position;
        } else {
            self.hand.overrule(&touched, &wanted);
        }
        self.is_beyond_log = position.position > last_seq;
        if self.is_beyond_log {
            let told = Notice::BeyondTheLog { position: position.position, last: last_seq };
            actions.push(Action::Notify(told));
        }
        actions.extend(self.turned_by_operator(&endpoint, operated).map(Action::Notify));
        self.breaker = Breaker::new(&endpoint);
        (self.is_at_end, self.wants_due, self.has_rows) = (false, true, true);
    }

    /// What to report of the endpoint's state: a pause or a resume since the last refresh; and once, at the beginning,
    /// that nothing is sent until an operator resumes the endpoint.
    fn turned_by_operator(
        &mut self,
        endpoint: &endpoint::Model,
        operated: Option<Box<operator_action::Model>>,
    ) -> Option<Notice> {
        let before = self.latest_turn;
        let latest = operated.as_ref().map_or(NO_TURN, |turn| turn.id).max(before.unwrap_or(NO_TURN));
        self.latest_turn = Some(latest);
        let (was, is, since) = (self.breaker.state(), endpoint.state, endpoint.since);
        let Some(before) = before else {
            return match is {
                State::Paused => {
                    let pause = operated.filter(|turn| turn.action == Deed::Pause);
                    Some(Notice::Paused { by: pause.map(|turn| turn.actor), since })
                }
                State::Suspended => Some(Notice::Turned { to: is, error: endpoint.last_error.clone() }),
                State::Active | State::Failing => None,
            };
        };
        match operated.filter(|_| latest > before) {
            Some(turn) if turn.action == Deed::Pause => Some(Notice::Paused { by: Some(turn.actor), since }),
            Some(turn) => Some(Notice::Resumed { by: Some(turn.actor) }),
            // Many other actions have been recorded since.
            None if is == State::Paused && was != State::Paused => Some(Notice::Paused { by: None, since }),
            None if is == State::Active && matches!(was, State::Paused | State::Suspended) => {
                Some(Notice::Resumed { by: None })
            }
            None => None,
        }
    }
}
