package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"
)

// keyFolder is a mounted Secret: a file for each access key, named by its id, holding its secret.
// It is read for each request, so a key that is taken away is refused as soon as the volume says so.
type keyFolder string

var _ auth.IAMService = keyFolder("")

// An id comes from whoever sends a request; no other name reaches the file system.
var validID = regexp.MustCompile(`^[A-Za-z0-9]{3,128}$`)

func (k keyFolder) GetUserAccount(id string) (auth.Account, error) {
	if !validID.MatchString(id) {
		return auth.Account{}, auth.ErrNoSuchUser
	}
	content, err := os.ReadFile(filepath.Join(string(k), id))
	if errors.Is(err, fs.ErrNotExist) {
		return auth.Account{}, auth.ErrNoSuchUser
	}
	if err != nil {
		return auth.Account{}, err
	}
	secret := strings.TrimSpace(string(content))
	// An empty secret would be one that everybody knows.
	if secret == "" {
		return auth.Account{}, auth.ErrNoSuchUser
	}
	return auth.Account{Access: id, Secret: secret, Role: auth.RoleUser}, nil
}

// names of all keys, in order.
func (k keyFolder) names() ([]string, error) {
	entries, err := os.ReadDir(string(k))
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, entry := range entries {
		// What the kubelet keeps beside them begins with dots.
		if validID.MatchString(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

func (k keyFolder) ResolveAccounts(ids []string) ([]string, error) {
	var missing []string
	for _, id := range ids {
		if _, err := k.GetUserAccount(id); errors.Is(err, auth.ErrNoSuchUser) {
			missing = append(missing, id)
		} else if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// Keys are made, listed and taken away in the Secret, nowhere else.

func (keyFolder) CreateAccount(auth.Account) error                  { return notHere() }
func (keyFolder) UpdateUserAccount(string, auth.MutableProps) error { return notHere() }
func (keyFolder) DeleteUserAccount(string) error                    { return notHere() }
func (keyFolder) ListUserAccounts() ([]auth.Account, error)         { return nil, notHere() }
func (keyFolder) Shutdown() error                                   { return nil }
func notHere() error                                                { return s3err.GetAPIError(s3err.ErrAdminMethodNotSupported) }
