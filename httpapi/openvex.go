package httpapi

import "net/http"

const vexPath = "/security/openvex.json"

// openVEX answers with all decisions that are in force.
func (a *api) openVEX(c *call) error {
	doc, err := a.Repo.OpenVEX(c.Context(), a.baseURL(c.Request)+vexPath)
	if err != nil {
		return err
	}
	writeBody(c.w, http.StatusOK, "application/json", doc)
	return nil
}

// openVEXSignature answers with a signature of what openVEX gives, which stays
// the same until somebody decides or a decision ends.
func (a *api) openVEXSignature(c *call) error {
	doc, err := a.Repo.OpenVEX(c.Context(), a.baseURL(c.Request)+vexPath)
	if err != nil {
		return err
	}
	signature, err := a.Repo.SignDetached(c.Context(), doc)
	if err != nil {
		return err
	}
	writeBody(c.w, http.StatusOK, "application/pgp-signature", signature)
	return nil
}
