package sqlstore

import "time"

// Note implements [aptrepo.Tx].
func (t *tx) Note(name string, at, since time.Time) (bool, error) {
	if !validText(name) {
		return false, invalidText("note")
	}
	n, err := t.exec(`INSERT INTO notes (name, noted_at) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET noted_at = excluded.noted_at WHERE notes.noted_at <= ?`,
		name, micros(at), micros(since))
	return n > 0, err
}

// ForgetNote implements [aptrepo.Tx].
func (t *tx) ForgetNote(name string) error {
	_, err := t.exec("DELETE FROM notes WHERE name = ?", name)
	return err
}
