CREATE TABLE notification_status (
    notification_id UUID PRIMARY KEY,
    address TEXT NOT NULL,
    status TEXT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now()
);
