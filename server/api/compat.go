package api

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/server/exchange"
)

// Predecessor handles the predecessor's call. Implemented by prewarm.Compat.
type Predecessor interface {
	// Post reads a call of a token and returns when all of it is on disk. It calls room with the number of pictures
	// before it builds anything.
	Post(ctx context.Context, token string, body io.Reader, room func(pictures int) error) error
}

// compat responds to the predecessor's call as the predecessor did: true, which promises an object or its marker for
// each key.
func (s *API) compat(c echo.Context) error {
	ctx := c.Request().Context()
	place := s.access.Enter(ctx, exchange.CallOf(c).Who)
	defer place.Leave()
	body, err := s.readBody(c, place)
	if err != nil {
		return err
	}
	if err := s.deps.Predecessor.Post(ctx, exchange.CallOf(c).Who.Name, bytes.NewReader(body), place.Ask); err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, true)
}
