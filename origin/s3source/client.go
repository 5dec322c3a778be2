package s3source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/goldcrest/goldcrest/secretfile"
)

// newClient makes the client of an entry. Objects are fetched through transport; credentials, whose places the operator
// configures, through the SDK's own clients.
func newClient(ctx context.Context, b Buckets, transport http.RoundTripper) (*s3.Client, error) {
	loaded, err := load(ctx, b)
	if err != nil {
		return nil, err
	}
	return s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.UsePathStyle = b.PathStyle
		o.DisableLogOutputChecksumValidationSkipped = true
		if b.Endpoint != "" {
			o.BaseEndpoint = aws.String(b.Endpoint)
		}
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.Retryer = aws.NopRetryer{} // The fetch has its own retry and timeout.
		o.HTTPClient = &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		o.APIOptions = append(o.APIOptions, leaveEncodingUnsigned)
	}), nil
}

// load builds the SDK's configuration of an entry.
func load(ctx context.Context, b Buckets) (aws.Config, error) {
	// The SDK would write to our log. Its failures are returned as errors.
	options := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if b.Region != "" {
		options = append(options, config.WithRegion(b.Region))
	} else if b.Endpoint != "" {
		options = append(options, config.WithDefaultRegion("us-east-1")) // Other servers ignore the region, but it is signed.
	}
	if b.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(b.Profile))
	}
	if b.CredentialsFile != "" {
		static, err := readCredentials(b.CredentialsFile)
		if err != nil {
			return aws.Config{}, fmt.Errorf("credentials_file: %w", err)
		}
		options = append(options, config.WithCredentialsProvider(static))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, err
	}
	if loaded.Region == "" {
		return aws.Config{}, errors.New("no region: set region or AWS_REGION")
	}
	if b.Role.ARN != "" {
		loaded.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(loaded),
			b.Role.ARN,
			func(o *stscreds.AssumeRoleOptions) {
				o.RoleSessionName = "goldcrest"
				if b.Role.Session != "" {
					o.RoleSessionName = b.Role.Session
				}
				if b.Role.ExternalID != "" {
					o.ExternalID = &b.Role.ExternalID
				}
			}))
	}
	return loaded, nil
}

// readCredentials reads a file of two or three lines.
func readCredentials(path string) (credentials.StaticCredentialsProvider, error) {
	text, err := secretfile.Read(path)
	if err != nil {
		return credentials.StaticCredentialsProvider{}, err
	}
	lines := strings.Fields(string(text))
	if len(lines) != 2 && len(lines) != 3 {
		return credentials.StaticCredentialsProvider{},
			fmt.Errorf("%s does not hold an access key id and a secret, a line each", path)
	}
	return credentials.NewStaticCredentialsProvider(lines[0], lines[1], strings.Join(lines[2:], "")), nil
}

// leaveEncodingUnsigned keeps Accept-Encoding out of the signature. Google Cloud Storage changes that header before it
// verifies, so a signature over it never matches there; S3 does not require it to be signed.
func leaveEncodingUnsigned(stack *middleware.Stack) error {
	const name = "Accept-Encoding"
	type held struct{}
	before := middleware.FinalizeMiddlewareFunc("HoldAcceptEncoding", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if r, ok := in.Request.(*smithyhttp.Request); ok {
			ctx = middleware.WithStackValue(ctx, held{}, r.Header.Get(name))
			r.Header.Del(name)
		}
		return next.HandleFinalize(ctx, in)
	})
	after := middleware.FinalizeMiddlewareFunc("RestoreAcceptEncoding", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if r, ok := in.Request.(*smithyhttp.Request); ok {
			if value, ok := middleware.GetStackValue(ctx, held{}).(string); ok && value != "" {
				r.Header.Set(name, value)
			}
		}
		return next.HandleFinalize(ctx, in)
	})
	if err := stack.Finalize.Insert(before, "Signing", middleware.Before); err != nil {
		return err
	}
	return stack.Finalize.Insert(after, "Signing", middleware.After)
}
