package transform

import (
	"time"

	"github.com/goldcrest/goldcrest/variant"
)

// Codec makes variants inside a worker process. One goroutine at a time calls it.
type Codec interface {
	// Transform decodes original once and makes one variant, or the master, for each spec. For the first stage it uses
	// the fastest encoder, if there is one. It calls emit at most once per spec, as each is ready, with the variant or
	// with a fault of that spec alone. The error it returns applies to every spec that it did not emit. original.Body
	// is shared memory, valid until Transform returns, and must not be written. The worker copies the emitted body
	// before emit returns.
	Transform(original variant.Original, specs []variant.Spec, stage variant.Stage, lim Limits, emit func(i int, img variant.Image, err error)) error
	// Warm uses every decoder and encoder once, so that plugins are loaded before the worker gives up its rights.
	Warm() error
	// SelfCheck compares the encoders with those for which the automatic quality was fitted.
	SelfCheck() (Drift, error)
	// Versions returns the versions of the libraries, for the operator.
	Versions() map[string]string
}

// Limits are the configured bounds of one request. The limits of a Spec can only lower them.
type Limits struct {
	Pixels       int64   // width x height of an original, times the frames that are kept
	ResultPixels int64   // width x height of a variant
	AVIFPixels   int64   // width x height up to which a negotiated format may be AVIF
	Frames       int     // of an animated variant; 0 and 1 = always a still picture
	AnimatedAVIF bool    // an AVIF may have more than one frame
	Memory       int64   // decoded bytes that this request was admitted with; 0 = what Pixels allows
	Quality      Quality // targets of the automatic quality; the zero value is the default
	Drift        Drift   // of the encoders from those that the automatic quality was fitted on
	// The most that a variant may take; 0 = no limit. A search for fewer bytes or a better score ends early enough.
	Wall, CPU time.Duration
}
