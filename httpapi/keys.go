package httpapi

import (
	"net/http"

	"github.com/repod-io/repod/aptrepo"
)

type keyJSON struct {
	Fingerprint string    `json:"fingerprint"`
	KeyID       string    `json:"key_id"`
	Algorithm   string    `json:"algorithm"`
	CreatedAt   timestamp `json:"created_at"`
	ExpiresAt   timestamp `json:"expires_at"`
	UserIDs     []string  `json:"uids"`
	State       string    `json:"state" rule:"active|retiring|retired"`
	RetiresAt   timestamp `json:"retires_at"`
}

type keysJSON struct {
	Keys      []keyJSON `json:"keys"`
	Active    *string   `json:"active_fingerprint"`
	PublicKey *string   `json:"public_key_armored"`
	KeyURL    *string   `json:"key_url"`
}

func (a *api) showKeys(c *call) error {
	ring, err := a.Repo.Keys(c.Context())
	if err != nil {
		return err
	}
	out := keysJSON{Keys: []keyJSON{}, PublicKey: orNull(string(ring.Armored))}
	for _, k := range ring.Keys {
		out.Keys = append(out.Keys, keyJSON{
			k.Fingerprint, k.KeyID, k.Algorithm, timestamp(k.CreatedAt), timestamp(k.ExpiresAt),
			list(k.UserIDs), k.State, timestamp(k.RetiresAt),
		})
		if k.State == aptrepo.KeyActive && out.Active == nil {
			out.Active = &k.Fingerprint
		}
	}
	if out.PublicKey != nil {
		out.KeyURL = orNull(a.baseURL(c.Request) + "/apt/repod.asc")
	}
	return writeJSON(c.w, http.StatusOK, out)
}

type newKeyBody struct {
	Name       string `json:"name" rule:"trim,0..128"`
	Email      string `json:"email" rule:"trim,0..254"`
	Algorithm  string `json:"algorithm" rule:"ed25519|rsa4096"`
	ExpireDays int    `json:"expire_days" rule:"0..3650"`
}

type newKeyJSON struct {
	Status        string    `json:"status"`
	Fingerprint   string    `json:"fingerprint"`
	KeyID         string    `json:"key_id"`
	Algorithm     string    `json:"algorithm"`
	CreatedAt     timestamp `json:"created_at"`
	ExpiresAt     timestamp `json:"expires_at"`
	Retiring      []string  `json:"retiring"`
	Distributions []string  `json:"distributions"`
}

func (a *api) generateKey(c *call) error {
	var in newKeyBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	key, err := a.Repo.GenerateKey(c.detach(), aptrepo.KeyOptions{
		Name: in.Name, Email: in.Email, Algorithm: in.Algorithm, ExpireDays: in.ExpireDays,
	})
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, newKeyJSON{"generated", key.Fingerprint, key.KeyID, key.Algorithm, timestamp(key.CreatedAt), timestamp(key.ExpiresAt),
		list(key.Retiring), list(key.Distributions)})
}
