package server

import (
	"context"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"
)

// Predecessor takes the predecessor's call. Implemented by prewarm.Compat.
type Predecessor interface {
	// Post reads a call and returns when all of it is on disk.
	Post(ctx context.Context, body io.Reader) error
}

// compat answers the predecessor's call as the predecessor did: true, which promises an object or its marker for each key.
func compat(p Predecessor) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := p.Post(c.Request().Context(), c.Request().Body); err != nil {
			return err
		}
		return c.JSON(http.StatusAccepted, true)
	}
}
