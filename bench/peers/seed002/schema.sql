-- The seed's two tables as it writes them, and the status row its workers keep.
CREATE TABLE users (
    user_id VARCHAR(255) PRIMARY KEY,
    email_address VARCHAR(255) NOT NULL,
    phone_number VARCHAR(20),
    preferred_language VARCHAR(10),
    preferences JSONB
);
CREATE TABLE templates (
    template_key TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    html_body TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now()
);
CREATE TABLE notification_status (
    notification_id UUID PRIMARY KEY,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now()
);
INSERT INTO users
    SELECT 'user-' || n, 'user' || n || '@example.com', NULL, 'en', '{"email": true, "push": false}'
    FROM generate_series(0, 999) AS n;
