package server

import "github.com/goldcrest/goldcrest/server/access"

// As lets another door make one call as the token of a name, which has to have the scope.
func (s *Server) As(name, scope string) (access.Acting, error) { return s.access.As(name, scope) }
