-- Schema 2. An invitation may be for somebody who has an account: it gives them another password.
ALTER TABLE invites ADD COLUMN renews TEXT REFERENCES people (person);
