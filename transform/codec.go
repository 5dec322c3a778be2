package transform

import (
	"time"

	"github.com/goldcrest/goldcrest/variant"
)

// Codec makes variants inside a worker process. It is called by one goroutine at a time.
type Codec interface {
	// Transform decodes original once and makes one variant, or the master, for each spec, by the fastest encoder where
	// the first stage is asked for and it has one. It calls emit at most once per spec, as each is ready, with the
	// variant or with the fault of that spec alone; the error it returns stands for every spec that it did not emit.
	// original.Body is shared memory, valid until Transform returns and only to be read; the worker takes a copy of the
	// emitted body before emit returns.
	Transform(original variant.Original, specs []variant.Spec, stage variant.Stage, lim Limits, emit func(i int, img variant.Image, err error)) error
	// Warm uses every decoder and encoder once, so that plugins are loaded before the worker gives up its rights.
	Warm() error
	// SelfCheck compares the encoders with those that the automatic quality was fitted on.
	SelfCheck() (Drift, error)
	// Versions names the libraries in use, for the operator.
	Versions() map[string]string
}

// Limits are the configured bounds of one request. Those of a Spec may only lower them.
type Limits struct {
	Pixels       int64   // width x height of an original, times the frames that are kept
	ResultPixels int64   // width x height of a variant
	AVIFPixels   int64   // width x height up to which an open URL may answer with AVIF
	Frames       int     // frames of an animated variant; 0 and 1 = always a still picture
	Memory       int64   // bytes of decoded pixels that this request was admitted with; 0 = what Pixels allows
	Quality      Quality // targets of the automatic quality; the zero value is the default
	Drift        Drift   // of the encoders from what the automatic quality was fitted on
	// What a variant may take; 0 = no limit. A search for fewer bytes or a better score ends while there is time left.
	Wall, CPU time.Duration
}
