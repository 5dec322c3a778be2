package app

import (
	"context"
	"fmt"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/bucketevents"
	"github.com/goldcrest/goldcrest/intake/sqs"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/variant"
)

// bucketSlots is the number of messages of a queue that are handled concurrently.
const bucketSlots = 20

// addBuckets adds an SQS queue of bucket events to the intakes. The dot in the intake's name distinguishes it from
// configured intakes.
func (a *App) addBuckets(door *intake.Door, n int, q config.BucketQueue) error {
	name := fmt.Sprintf("bucket_queues.%d", n)
	in, err := sqs.Open(context.Background(), q.SQS) // reads credentials and connects to nothing
	if err != nil {
		return fmt.Errorf("prewarm.%s: %w", name, err)
	}
	taker := bucketevents.Taker{
		Rules: func() (bucketevents.Rules, unit.Rules) {
			now := a.live.Load().rules
			return now.Buckets, now.Prewarm
		},
		Act:   func() (intake.Caller, error) { return a.act(q.Token, access.ScopeEvents) },
		Purge: a.purgeSources, Accept: a.acceptEvent,
	}
	door.Add(intake.Config{
		Name: name, Token: q.Token, Slots: bucketSlots,
		Broker: intake.Broker{Kind: intake.SQS, From: q.SQS.Queue, Dead: q.SQS.Dead},
	}, in, taker.Take)
	return nil
}

// purgeSources removes the variants of sources.
func (a *App) purgeSources(ctx context.Context, sources []string) error {
	parser := a.live.Load().rules.Parser
	var refs []variant.Ref
	for _, source := range sources {
		ref, err := parser.Ref(source, variant.Spec{})
		if err != nil {
			return err
		}
		refs = append(refs, ref)
	}
	_, err := a.purge(ctx, pipeline.Selector{Refs: refs})
	return err
}

// acceptEvent accepts a call that results from an event.
func (a *App) acceptEvent(ctx context.Context, owner string, call unit.Call) error {
	if _, err := a.prewarm.service.Weigh(call); err != nil {
		return err
	}
	_, err := a.prewarm.service.Accept(ctx, owner, "", [32]byte{}, call)
	return err
}
