package app

import (
	"context"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/intake/bucketevents"
	"github.com/goldcrest/goldcrest/intake/sqs"
	"github.com/goldcrest/goldcrest/pause"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/variant"
)

// bucketSlots is how many messages of a queue are in work at the same time.
const bucketSlots = 20

// takeBuckets takes what object stores say by a queue, until ctx ends: anew after every failure.
func (a *App) takeBuckets(ctx context.Context, q config.BucketQueue) {
	taker := bucketevents.Taker{
		Rules: func() (bucketevents.Rules, unit.Rules) {
			now := a.live.Load().rules
			return now.Buckets, now.Prewarm
		},
		Act: func() (bucketevents.Actor, error) {
			who, err := a.server.As(q.Token, access.ScopeEvents)
			return bucketevents.Actor{Owner: who.Name, Key: who.Key, Rights: who.May}, err
		},
		Purge: a.purgeSources, Accept: a.acceptEvent,
	}
	for ctx.Err() == nil {
		door, err := sqs.Open(ctx, q.SQS)
		if err == nil {
			err = door.Receive(ctx, bucketSlots, taker.Handle)
		}
		if err == nil {
			continue
		}
		a.log.Warn("a queue of bucket events does not answer; it is asked again", "queue", q.SQS.Queue, "error", err)
		if pause.For(ctx, restartEvery) != nil {
			return
		}
	}
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

// acceptEvent accepts a call that follows from an event.
func (a *App) acceptEvent(ctx context.Context, owner string, call unit.Call) error {
	if _, err := a.prewarm.service.Weigh(call); err != nil {
		return err
	}
	_, err := a.prewarm.service.Accept(ctx, owner, "", [32]byte{}, call)
	return err
}
