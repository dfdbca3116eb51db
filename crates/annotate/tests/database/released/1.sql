INSERT INTO people (person, number, name, name_key, role, password, attempt, attempts_from, n_claims, guidelines_at, trained_at, disabled, created_at)
    VALUES ('p1', 1, 'Anna', 'anna', 'admin', 'hash', 1, 0, 2, 5, NULL, 0, 1);
INSERT INTO items (item, kind, name, fingerprint, rank, overlap, state, n_answers, image, image_folder, turns, outputs, original_answer, expected, explanation, question_type, models)
    VALUES (1, 'work', 'p-1', 'f1', 0, 1, 'complete', 1, 'a.png', 'images', '[{"from":"human","value":"<image>\nWhat?"}]', '["A cup.","A dog."]', NULL, NULL, NULL, 'object', NULL);
INSERT INTO items (item, kind, name, fingerprint, rank, overlap, state, n_answers, image, image_folder, turns, outputs, original_answer, expected, explanation, question_type, models)
    VALUES (2, 'gold', 'g-1', 'f2', 0, 0, 'open', 0, NULL, NULL, '[{"from":"human","value":"What?"}]', '["A.","B."]', NULL, '{"first":"tie","second":"b"}', 'why', NULL, '["m","n"]');
INSERT INTO slots (item, slot, attempt, rank, state, person, assignment, lease_from, lease_until, claimed_at, shown_from, shown_left, draft, again, note)
    VALUES (1, 0, 0, 0, 'answered', 'p1', 't1', 1, 2, 3, 4, 1, NULL, NULL, NULL);
INSERT INTO slots (item, slot, attempt, rank, state, person, assignment, lease_from, lease_until, claimed_at, shown_from, shown_left, draft, again, note)
    VALUES (2, 1, 0, 0, 'answered', 'p1', 't2', 1, 2, 3, 4, 0, NULL, NULL, NULL);
INSERT INTO answers (submission, number, fingerprint, item, slot, attempt, person, state, answer, shown_left, active_ms, answered_at)
    VALUES ('s1', 1, 'f', 1, 0, 0, 'p1', 'current', '{"first":"a","second":null,"marks":[{"answer":"b","start":2,"end":5,"type":"object"}],"corrections":{"a":null,"b":"A cat."},"note":null}', 1, 900, 7000);
INSERT INTO answers (submission, number, fingerprint, item, slot, attempt, person, state, answer, shown_left, active_ms, answered_at)
    VALUES ('s2', 2, 'f', 2, 1, 0, 'p1', 'current', '{"first":"tie","second":"b","marks":[],"corrections":{"a":null,"b":null},"note":"x"}', 0, 900, 8000);
INSERT INTO events (seq, at, person, kind, item, data) VALUES (1, 7000, 'p1', 'answer', 1, '{}');
INSERT INTO events (seq, at, person, kind, item, data) VALUES (2, 8000, 'p1', 'answer', 2, '{}');
