-- Schema 6. Rankings: the whole order in which three answers or more were shown, as a JSON list of the outputs from the first place to the last. Of two answers shown_left says it.
ALTER TABLE slots ADD COLUMN shown_order TEXT;
ALTER TABLE answers ADD COLUMN shown_order TEXT;
