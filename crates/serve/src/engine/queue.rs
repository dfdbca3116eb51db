//! What waits, fair between those who ask: whoever has waited longest without being served is next, however many requests
//! the others have sent.

use std::collections::VecDeque;

/// Requests that wait, by client.
#[derive(Debug)]
pub(super) struct Queue<C, T> {
    /// In the order in which they are served; none is without requests.
    clients: VecDeque<(C, VecDeque<T>)>,
}

impl<C: PartialEq, T> Queue<C, T> {
    pub(super) fn new() -> Self {
        Self {
            clients: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, client: C, item: T) {
        match self.clients.iter_mut().find(|(known, _)| *known == client) {
            Some((_, items)) => items.push_back(item),
            None => self.clients.push_back((client, VecDeque::from([item]))),
        }
    }

    /// The first request of the client whose turn it is, who then goes behind the others.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (client, mut items) = self.clients.pop_front()?;
        let item = items.pop_front();
        if !items.is_empty() {
            self.clients.push_back((client, items));
        }
        item
    }

    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Drops requests that nobody waits for any more; returns how many.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) -> usize {
        let count =
            |queue: &Self| -> usize { queue.clients.iter().map(|(_, items)| items.len()).sum() };
        let before = count(self);
        for (_, items) in &mut self.clients {
            items.retain(|item| keep(item));
        }
        self.clients.retain(|(_, items)| !items.is_empty());
        before - count(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_take_turns_however_much_they_ask() {
        let mut queue = Queue::new();
        for (client, item) in [('a', 1), ('a', 2), ('a', 3), ('b', 4), ('c', 5), ('b', 6)] {
            queue.push(client, item);
        }
        let mut served = Vec::new();
        served.extend(queue.pop());
        queue.push('d', 7);
        served.extend(std::iter::from_fn(|| queue.pop()));
        assert_eq!(served, [1, 4, 5, 2, 7, 6, 3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_nobody_waits_for_is_dropped() {
        let mut queue = Queue::new();
        for (client, item) in [('a', 1), ('a', 2), ('b', 3)] {
            queue.push(client, item);
        }
        assert_eq!(queue.retain(|&item| item != 3), 1);
        assert_eq!(
            [queue.pop(), queue.pop(), queue.pop()],
            [Some(1), Some(2), None]
        );
    }
}
