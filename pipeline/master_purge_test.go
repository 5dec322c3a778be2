package pipeline

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"

	"github.com/goldcrest/goldcrest/pipeline/master"
	"github.com/goldcrest/goldcrest/variant"
)

// A purge wins over a master and over a variant that are being made. A fill that starts while the purge deletes does
// not read what is about to be deleted.
func TestPurgeOfAMaster(t *testing.T) {
	for _, when := range []string{"while it is made", "while it is read", "while it is deleted"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, _ := masterRig(t, nil)
				gate := make(chan struct{})
				healthy := r.codec.onTransform
				if when == "while it is made" {
					r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
						if specs[0].Master {
							<-gate
							emit(0, masterImage(2000, nil), nil)
							return nil
						}
						emit(0, variant.Image{Body: []byte("x"), Format: variant.WebP}, nil)
						return nil
					}
				}
				r.mustGet(t, ref(100))
				r.codec.onTransform = healthy
				purge := func() {
					if _, err := r.Purge(t.Context(), Selector{Refs: refs(1)}); err != nil {
						t.Error(err)
					}
				}
				get := func() {
					if _, err := r.Get(t.Context(), ref(200)); err != nil {
						t.Error(err)
					}
				}
				switch when {
				case "while it is made":
					purge()
				case "while it is read":
					r.tiers.onRead = func() { <-gate }
					go get()
					synctest.Wait()
					purge()
				case "while it is deleted":
					r.tiers.onDelete = func() { <-gate }
					go purge()
					synctest.Wait()
					get()
					synctest.Wait()
					// This variant is written when the purge has ended, and its original is kept until then.
					if fetches, _ := r.origin.counts(); fetches != 2 {
						t.Errorf("got %d fetches, want one anew while the purge deletes", fetches)
					}
				}
				close(gate)
				synctest.Wait()
				fetched, _ := r.origin.counts()
				r.tiers.onRead, r.tiers.onDelete = nil, nil
				if when == "while it is deleted" {
					return
				}
				for key, e := range r.tiers.store {
					if key == master.Key(key) || bytes.Contains(e.Body, []byte("master")) {
						t.Errorf("%s is stored after the purge: %q", key, e.Body)
					}
				}
				r.mustGet(t, ref(300))
				r.wantFetches(t, fetched+1)
			})
		})
	}
}

// A read shared before a purge is not shared after it, although it is still running.
func TestPurgeEndsSharedReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := masterRig(t, nil)
		r.mustGet(t, ref(100))
		block := make(chan struct{})
		r.codec.onTransform = func(_ context.Context, specs []variant.Spec, emit emitFunc) error {
			<-block
			emit(0, variant.Image{Body: []byte("x"), Format: variant.WebP}, nil)
			return nil
		}
		go func() { _, _ = r.Get(context.Background(), ref(200)) }()
		synctest.Wait()
		if _, err := r.Purge(t.Context(), Selector{Prefix: "v1/"}); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = r.Get(context.Background(), ref(300)) }()
		synctest.Wait()
		if got, _ := r.origin.counts(); got != 2 {
			t.Errorf("got %d fetches, want one anew after the purge", got)
		}
		close(block)
		synctest.Wait()
	})
}
