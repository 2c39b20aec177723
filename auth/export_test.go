package auth

// TakeHashSlot takes one of the slots for hashing passwords; release gives it
// back.
func (s *Service) TakeHashSlot() (release func(), err error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	s.hashing <- struct{}{}
	return func() { <-s.hashing }, nil
}
