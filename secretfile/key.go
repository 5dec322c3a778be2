package secretfile

import (
	"errors"
	"fmt"
)

// Key is a key that seals what is stored, in the configuration.
type Key struct {
	// Key is the key itself, at least 32 characters; or set key_file.
	Key string `yaml:"key" secret:"true"`
	// KeyFile is a file that holds the key; surrounding whitespace is dropped. The server refuses a file that another
	// user could write or replace: the file and the directories above it must belong to root or to the server's user.
	KeyFile string `yaml:"key_file" secret:"file"`
}

// MinKey is the minimum length of a Key in bytes.
const MinKey = 32

// Validate says what is wrong, without reading the file.
func (k Key) Validate() error {
	if (k.Key == "") == (k.KeyFile == "") {
		return errors.New("set one of key and key_file")
	}
	if k.Key != "" {
		return longEnough(k.Key)
	}
	return nil
}

// Read returns the key.
func (k Key) Read() (string, error) {
	key, err := Value(k.Key, k.KeyFile)
	if err == nil {
		err = longEnough(key)
	}
	return key, err
}

func longEnough(key string) error {
	if len(key) < MinKey {
		return fmt.Errorf("the key is shorter than %d characters", MinKey)
	}
	return nil
}
