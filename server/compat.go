package server

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"
)

// Predecessor takes the predecessor's call. Implemented by prewarm.Compat.
type Predecessor interface {
	// Post reads a call of a token and returns when all of it is on disk.
	// room is asked for as many pictures as the call has before anything is made of them.
	Post(ctx context.Context, token string, body io.Reader, room func(pictures int) error) error
}

// compat answers the predecessor's call as the predecessor did: true, which promises an object or its marker for each
// key.
func (s *Server) compat(c echo.Context) error {
	ctx := c.Request().Context()
	place := s.enterIntake(ctx, callOf(c).who)
	defer place.leave()
	body, err := s.readBody(c, place)
	if err != nil {
		return err
	}
	if err := s.deps.Predecessor.Post(ctx, callOf(c).who.name, bytes.NewReader(body), place.ask); err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, true)
}
