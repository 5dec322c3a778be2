package bucketevents

import (
	"context"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// Taker handles events that arrive as messages. All fields must be set. Safe for concurrent use.
type Taker struct {
	// Rules returns the rules in force.
	Rules func() (Rules, unit.Rules)
	// Act starts one call with the rights of the queue's token.
	Act func() (intake.Caller, error)
	// Purge removes the variants of sources, on every instance.
	Purge func(ctx context.Context, sources []string) error
	// Accept records a call and returns when all of it is on disk.
	Accept func(ctx context.Context, owner string, call unit.Call) error
}

// Take returns once a message's purge is done and its calls are accepted. A duplicate is purged and accepted twice.
func (t Taker) Take(ctx context.Context, m intake.Message) error {
	if m.Unreadable != "" {
		return unreadable(m.Unreadable, nil)
	}
	events, err := Read(m.Body)
	if err != nil {
		return err
	}
	who, err := t.Act()
	if err != nil {
		return err
	}
	all, rules := t.Rules()
	plan, err := all.Plan(ctx, events, rules)
	if err != nil {
		return err
	}
	for _, source := range plan.Purge {
		if !who.Rights.AllowsSource(source) {
			return fault.New(fault.SourceNotAllowed, "bucketevents.take", "the token may not ask for the source", nil)
		}
	}
	if len(plan.Purge) > 0 {
		if err := t.Purge(ctx, plan.Purge); err != nil {
			return err
		}
	}
	for _, call := range plan.Calls {
		call.Request, call.Key, call.Rights = m.ID, who.Key, who.Rights
		if err := t.Accept(ctx, who.Name, call); err != nil {
			return err
		}
	}
	return nil
}
