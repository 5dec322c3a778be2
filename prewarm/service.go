package prewarm

import (
	"context"
	"errors"
	"time"

	"github.com/goldcrest/goldcrest/variant"
)

// Service accepts calls, works on them and tells about them. Safe for concurrent use. Make one with New, end it with Close.
type Service struct {
	cfg  Config
	deps Deps
}

// New makes a Service and begins to follow the ledger. It works on nothing before Run.
func New(cfg Config, deps Deps) (*Service, error) {
	return &Service{cfg: cfg, deps: deps}, cfg.Validate()
}

// Close ends what New began. Run must have ended before.
func (s *Service) Close() {}

// Accept records a call and returns when all of it is on disk. token is the name of the API token; idem the Idempotency-Key ("" =
// none), with which the same body gives the same job and another is refused (idempotency_conflict). Refusals: bad_option,
// queue_full, disk_full.
func (s *Service) Accept(ctx context.Context, token, idem string, bodyHash [32]byte, call Call) (Accepted, error) {
	return Accepted{}, errors.New("not yet")
}

// Refresh gives the answer to a call as it would be now, for callers that waited for their verdicts.
func (s *Service) Refresh(ctx context.Context, a Accepted, call Call) (Accepted, error) {
	return a, nil
}

// Run works on queued images and tells backends until ctx ends. It returns when all workers have.
func (s *Service) Run(ctx context.Context) error { return nil }

// Job describes a job. With wait it returns as soon as the job ends, and after wait at the latest. A job that is not known is no_such_job.
func (s *Service) Job(ctx context.Context, id string, wait time.Duration) (Job, error) {
	return Job{}, nil
}

// Jobs lists jobs, the latest first, and gives the cursor of the next page ("" = none).
func (s *Service) Jobs(ctx context.Context, limit int, cursor string) ([]Job, string, error) {
	return nil, "", nil
}

// Results lists the verdicts of a job in the order of its images, and gives the cursor of the next page ("" = none).
func (s *Service) Results(ctx context.Context, id string, f ResultFilter, cursor string, limit int) ([]Verdict, string, error) {
	return nil, "", nil
}

// Watch gives a job whenever it changed, at most a few times a second, and closes the channel after its end or ctx's.
func (s *Service) Watch(ctx context.Context, id string) (<-chan Job, error) { return nil, nil }

// Retry works once more on what failed or was broken in a job.
func (s *Service) Retry(ctx context.Context, id string) (Job, error) { return Job{}, nil }

// Cancel ends what of a job has not been started.
func (s *Service) Cancel(ctx context.Context, id string) (Job, error) { return Job{}, nil }

// Broken lists the sources found broken at or after since, the latest last.
func (s *Service) Broken(ctx context.Context, since time.Time, limit int) ([]BrokenCount, error) {
	return nil, nil
}

// Check tells what is known of variants. No work is done.
func (s *Service) Check(ctx context.Context, asks []CheckAsk) ([]Checked, error) { return nil, nil }

// Sources finds the sources of a unit or a tag in the jobs that are kept, one Ref for each: what a purge by unit or tag is about.
func (s *Service) Sources(ctx context.Context, unit, tag string) ([]variant.Ref, error) {
	return nil, nil
}

// Stats tells the present state.
func (s *Service) Stats(ctx context.Context) (Stats, error) { return Stats{}, nil }
