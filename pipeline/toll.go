package pipeline

// Toll is asked once, before the original is fetched, by a viewer's look-up that finds nothing: nil lets the variant be
// made, an error is the viewer's answer. What is stored, or what somebody else has made, costs nothing.
type Toll func() error

// owe notes who may pay for a batch. One who need not pay frees all the others. The table's lock is held.
func (b *batch) owe(toll Toll) {
	if toll == nil {
		b.paid, b.tolls = true, nil
	} else if !b.paid {
		b.tolls = append(b.tolls, toll)
	}
}

// collect asks those who want the batch until one of them may have it made, so that nobody is refused for another's
// limit. Where none may, the batch leaves the table in the same turn of the lock in which that is found: whoever joined
// before was asked, and whoever comes later begins a batch of their own.
func (t *fills) collect(b *batch) (err error) {
	for {
		t.mu.Lock()
		if b.paid {
			t.mu.Unlock()
			return nil
		}
		if len(b.tolls) == 0 {
			t.forget(b)
			t.mu.Unlock()
			return err
		}
		toll := b.tolls[0]
		b.tolls = b.tolls[1:]
		t.mu.Unlock()
		if err = toll(); err == nil {
			t.mu.Lock()
			b.paid, b.tolls = true, nil
			t.mu.Unlock()
			return nil
		}
	}
}
