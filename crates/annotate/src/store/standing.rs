//! How far one person is.

use serde::Serialize;

use super::Store;
use super::database::values;
use super::people::{self, Person, Stage};
use super::undo::undo_left;
use crate::error::AnnotateError;

/// How far a person is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// What comes next.
    pub stage: Stage,
    /// Answers to work and gold: told apart, they would give gold away.
    pub n_answered: i64,
    /// Items that this person has in hand or could still get now, gold among them.
    pub n_left: i64,
    /// Answers that can be taken back.
    pub undo_left: i64,
}

impl Store {
    /// How far a person is.
    ///
    /// # Errors
    /// As the database says.
    pub async fn standing(&self, person: &Person) -> Result<Standing, AnnotateError> {
        let connection = &mut self.read().await?;
        let n_training = people::n_training(connection).await?;
        let answered = "SELECT COUNT(*) AS n FROM answers a JOIN items i ON i.item = a.item \
                        WHERE a.person = $1 AND a.state = 'current' AND i.kind <> 'training'";
        let left = "SELECT COUNT(*) AS n FROM items i WHERE i.state = 'open' AND i.kind <> 'training' \
                    AND NOT EXISTS (SELECT 1 FROM skips k WHERE k.item = i.item AND k.person = $1) \
                    AND (EXISTS (SELECT 1 FROM slots m WHERE m.item = i.item AND m.person = $1 \
                            AND m.state IN ('leased', 'open')) \
                        OR (NOT EXISTS (SELECT 1 FROM slots s WHERE s.item = i.item AND s.person = $1) \
                            AND (i.kind = 'gold' OR EXISTS \
                                (SELECT 1 FROM slots f WHERE f.item = i.item AND f.state = 'open'))))";
        Ok(Standing {
            stage: person.stage(n_training, self.rules.training.attempts),
            n_answered: connection.int(answered, values![&person.person]).await?,
            n_left: connection.int(left, values![&person.person]).await?,
            undo_left: undo_left(connection, &self.rules, &person.person).await?,
        })
    }

    /// The time of day, by the store's clock.
    #[must_use]
    pub fn unix_ms(&self) -> i64 {
        self.rules.unix_now()
    }
}
